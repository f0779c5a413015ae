//! Corrects an ONNX classifier that was trained on wrong labels: same graph, same names, better weights.
//!
//! ```text
//!     model file ──► model/     protobuf, external data, graph index, in-place patch, atomic save
//!     data SPEC  ──► data/      readers (one file each) + preprocessing ──► batches of (id, inputs, label)
//!                    engine/    runs a graph: ort (cpu, cuda), tract; the only files that know those crates
//!                    layers/    which weights can be projected, and why the others can't: one file per op
//!                    evidence/  scores (loss per sample), trusted set, second moments (the instrumented graph)
//!                    partial/   what interrupted runs and shards leave behind, and putting it together
//!                    store/     where partial results lie: files, object stores
//!                    methods/   a correction: evidence in, weight patches out; pure; one file each
//!                    refine/    what follows a correction: recalibration, a new head; pure
//!                    autodiff/  gradients as more nodes of a model: one file a family of operators
//!                    train/     training steps as one graph, and what drives them over data
//!                    tune/      what goes on from a correction with gradients: one file each
//!                    linalg/    solve: cholesky, eigh, svd; row/column-major boundary in one place
//!                    search/    which candidate: α, by validation
//!                    detect/    which labels are likely wrong; pure
//!                    difference/ what differs between two models: tensors, structure, predictions; pure
//!                    golden/    records of what a model was fed and gave: one file a format
//!                    check/     whether a candidate may take the place of a golden model: one file a rule
//!                    verify/    structure untouched, tract agrees with the engine
//!                    report/    serde structs, tables of rows, the report as a page
//!                    pipeline/  the whole run in one readable function
//!                    comparison/ methods on one model, each run by the pipeline and judged alike
//!                    heap.rs    what the process does with freed memory
//!                    cli/       clap structs, one file a command; ui.rs is the only one that prints
//! ```
//!
//! What can be extended is an ordered slice that `--help`, docs and tests are derived from: [`data::READERS`],
//! [`engine::ENGINES`], [`layers::RULES`], [`methods::METHODS`], [`methods::PROJECTIONS`], [`refine::FITS`],
//! [`linalg::SOLVERS`], [`linalg::SCALINGS`], [`pipeline::PRESETS`], [`golden::FORMATS`], [`check::RULES`],
//! [`autodiff::RULES`], [`train::CRITERIA`].
//!
//! The mathematics, and why the output can be trusted, are in `docs/design.md`.

pub mod autodiff;
pub mod check;
pub mod cli;
pub mod compact;
pub mod comparison;
pub mod data;
pub mod detect;
pub mod difference;
pub mod engine;
pub mod error;
pub mod evidence;
pub mod golden;
pub mod heap;
pub mod layers;
pub mod linalg;
pub mod methods;
pub mod model;
mod panics;
pub mod partial;
pub mod paths;
pub mod pipeline;
pub mod progress;
pub mod refine;
pub mod report;
pub mod search;
pub mod store;
pub mod tensor;
pub mod train;
pub mod tune;
pub mod verify;
