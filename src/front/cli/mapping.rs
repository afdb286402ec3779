//! `mapping`: tests mappings with their samples, compares two versions of a mapping, and suggests fields.
//!
//! `mapping::sample`, `mapping::diff` and `mapping::suggest` do the work. A mapping is applied to other data with `map`.

mod diff;
mod junit;
mod markdown;
mod report;
mod revision;
mod samples;
mod suggest;
mod test;
mod text;

use clap::Subcommand;

use crate::front::cli::ExitResult;
use crate::front::cli::out::Out;
use crate::front::cli::settings::SettingsArgs;
use crate::host::catalog::Catalog;

/// Subcommands of `mapping`.
#[derive(Debug, Subcommand)]
pub(super) enum MappingCommand {
    /// Map samples and compare the events with their snapshots; print the differences
    Test(test::TestArgs),
    /// Show the differences between two versions of a mapping, by field and event
    Diff(diff::DiffArgs),
    /// Suggest fields for the paths of a sample that no field selects
    Suggest(suggest::SuggestArgs),
}

/// Runs a subcommand of `mapping`.
pub(super) fn mapping(
    command: &MappingCommand,
    settings: &SettingsArgs,
    catalog: &Catalog,
    out: &mut Out,
) -> ExitResult {
    match command {
        MappingCommand::Test(args) => test::test(args, settings, catalog, out),
        MappingCommand::Diff(args) => diff::diff(args, settings, catalog, out),
        MappingCommand::Suggest(args) => suggest::suggest(args, catalog, out),
    }
}
