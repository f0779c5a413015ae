//! A training under way: `training.safetensors` in the work folder, replaced after every epoch.

use super::fit::{Epoch, Fitted, Kept};
use crate::partial::{Identity, PartialError};
use crate::tensor::{ElementType, NamedTensor, Tensor};
use ndarray::Array2;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io;

const FILE: &str = "training.safetensors";

/// What is kept.
pub(super) struct Checkpoint {
    /// All that goes from step to step.
    pub(super) state: Vec<Tensor>,
    /// What was found so far.
    pub(super) fitted: Fitted,
}

/// What stands beside the tensors.
#[derive(Serialize, Deserialize)]
struct Notes {
    identity: Identity,
    best: usize,
    parameters: Vec<String>,
}

/// The tensor of what came of every epoch: JSON would round it.
const EPOCHS: &str = "epochs";

/// The key of [`Notes`] among the file's metadata.
const NOTES: &str = "training";

impl Checkpoint {
    /// What is kept of a training, if anything is.
    ///
    /// # Errors
    /// [`PartialError::Read`], [`PartialError::Damaged`]; [`PartialError::Foreign`] where it is of another one.
    pub(super) fn read(kept: Kept<'_>) -> Result<Option<Self>, PartialError> {
        let path = kept.folder.file(FILE);
        let name = path.display().to_string();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(PartialError::Read { path: name, source }),
        };
        let found = Self::decode(&bytes);
        let (found, identity) = found.map_err(|reason| PartialError::Damaged { path: name.clone(), reason })?;
        kept.identity.check(
            &name,
            &identity,
            "give the same command on as many threads again, or name another folder with --work",
        )?;
        Ok(Some(found))
    }

    fn decode(bytes: &[u8]) -> Result<(Self, Identity), String> {
        let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
        let notes =
            header.metadata().as_ref().and_then(|metadata| metadata.get(NOTES)).ok_or("it is of no training")?;
        let notes: Notes = serde_json::from_str(notes).map_err(|error| error.to_string())?;
        let tensor = |name: String| {
            let view = file.tensor(&name).map_err(|error| error.to_string())?;
            let element = element(view.dtype()).ok_or_else(|| format!("{name} is {:?}", view.dtype()))?;
            Tensor::from_little_endian(element, view.shape(), view.data())
                .ok_or_else(|| format!("{name} has another size"))
        };
        let count = file.names().iter().filter(|name| name.starts_with("state.")).count();
        let state = (0..count).map(|at| tensor(format!("state.{at}"))).collect::<Result<_, _>>()?;
        let best = notes.parameters.iter().enumerate();
        let best = best.map(|(at, name)| Ok(NamedTensor { name: name.clone(), tensor: tensor(format!("best.{at}"))? }));
        let parameters = best.collect::<Result<_, String>>()?;
        let epochs = tensor(EPOCHS.to_owned())?.to_f64();
        let epochs: Vec<f64> = epochs.into_iter().collect();
        let epochs = epochs.chunks_exact(2).map(|pair| Epoch { loss: pair[0], validation: pair[1] }).collect();
        let fitted = Fitted { parameters, best: notes.best, epochs, diverged: false };
        Ok((Self { state, fitted }, notes.identity))
    }

    /// Takes the place of what was kept before.
    ///
    /// # Errors
    /// [`PartialError::Keep`].
    pub(super) fn write(&self, kept: Kept<'_>) -> Result<(), PartialError> {
        let best = self.fitted.parameters.iter().enumerate();
        let best = best.map(|(at, parameter)| (format!("best.{at}"), &parameter.tensor));
        let state = self.state.iter().enumerate().map(|(at, tensor)| (format!("state.{at}"), tensor));
        let epochs = self.fitted.epochs.iter().map(|epoch| [epoch.loss, epoch.validation]).collect::<Vec<_>>();
        let epochs = Tensor::Float64(Array2::from(epochs).into_dyn());
        let all = state.chain(best).chain([(EPOCHS.to_owned(), &epochs)]);
        let tensors: Vec<(String, &Tensor, Vec<u8>)> =
            all.map(|(name, tensor)| (name, tensor, tensor.to_little_endian())).collect();
        let notes = Notes {
            identity: kept.identity.clone(),
            best: self.fitted.best,
            parameters: self.fitted.parameters.iter().map(|parameter| parameter.name.clone()).collect(),
        };
        kept.folder.replace(FILE, |path| {
            let failed =
                |reason: String| PartialError::Keep { path: path.to_owned(), source: io::Error::other(reason) };
            let notes = serde_json::to_string(&notes).map_err(|error| failed(error.to_string()))?;
            let views = tensors.iter().map(|(name, tensor, bytes)| {
                let dtype = dtype(tensor.element_type()).ok_or_else(|| failed(format!("{name} holds no floats")))?;
                let view = TensorView::new(dtype, tensor.shape().to_vec(), bytes);
                Ok((name.clone(), view.map_err(|error| failed(error.to_string()))?))
            });
            let views: Vec<_> = views.collect::<Result<_, PartialError>>()?;
            let metadata = HashMap::from([(NOTES.to_owned(), notes)]);
            safetensors::serialize_to_file(views, Some(metadata), path).map_err(|error| failed(error.to_string()))
        })
    }
}

const DTYPES: [(ElementType, Dtype); 4] = [
    (ElementType::Float32, Dtype::F32),
    (ElementType::Float64, Dtype::F64),
    (ElementType::Float16, Dtype::F16),
    (ElementType::Bfloat16, Dtype::BF16),
];

fn dtype(element: ElementType) -> Option<Dtype> {
    DTYPES.iter().find(|(of, _)| *of == element).map(|(_, dtype)| *dtype)
}

fn element(dtype: Dtype) -> Option<ElementType> {
    DTYPES.iter().find(|(_, of)| *of == dtype).map(|(element, _)| *element)
}
