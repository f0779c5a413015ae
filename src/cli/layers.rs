//! The options that choose layers, which `inspect` shows and the main command follows.

use crate::layers::{OnShared, Selection};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use regex::Regex;

/// Which layers are rewritten, and how.
#[derive(Args, Clone)]
#[command(next_help_heading = "Layers")]
pub(super) struct LayerArgs {
    /// Rewrite only layers whose weight or node matches, scopes included; may be repeated
    #[arg(long, value_name = "REGEX")]
    include: Vec<Regex>,
    /// Leave layers whose weight or node matches, scopes included; may be repeated
    #[arg(long, value_name = "REGEX")]
    exclude: Vec<Regex>,
    /// Leave the first layer
    #[arg(long)]
    skip_first: bool,
    /// Leave the last layer, which gives the logits
    #[arg(long)]
    skip_head: bool,
    /// Weights that several nodes use: `sum` keeps the tie where all layers use it in one orientation, and copies it
    /// where not or where something else needs the old values; `split` copies it for every layer; `skip` leaves it
    #[arg(long, value_name = "CHOICE", default_value_t, value_parser = on_shared())]
    on_shared: OnShared,
    /// Rewrite weights behind DequantizeLinear, rounded to the scale that they have
    #[arg(long)]
    requantize: bool,
}

fn on_shared() -> impl TypedValueParser<Value = OnShared> {
    PossibleValuesParser::new(OnShared::ALL.map(|(name, _)| name)).try_map(|name| name.parse::<OnShared>())
}

impl LayerArgs {
    pub(super) fn selection(&self) -> Selection {
        Selection {
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            skip_first: self.skip_first,
            skip_head: self.skip_head,
            on_shared: self.on_shared,
            requantize: self.requantize,
        }
    }
}
