//! `validate`: every fault of a catalog and of single files, as text, JSON or SARIF.
//!
//! `front::diagnostics` finds the faults and renders them.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::front::cli::describe::print_json;
use crate::front::cli::out::Out;
use crate::front::cli::settings::{self, SettingsArgs};
use crate::front::cli::{ExitResult, INVALID};
use crate::front::diagnostics::{Checker, Severity, sarif, text};
use crate::host::catalog::Catalog;
use crate::protocol::Failure;

/// Arguments of `validate`.
#[derive(Args, Debug)]
pub(super) struct ValidateArgs {
    /// Files or folders [default: the folder of --catalog, else the current one, else the built-in catalog]
    paths: Vec<PathBuf>,
    /// Print JSON
    #[arg(long, conflicts_with = "sarif")]
    json: bool,
    /// Print a SARIF log, for annotations in pull requests. Run it in the root of the repository
    #[arg(long)]
    sarif: bool,
}

/// Checks files and folders, or the catalog in use.
pub(super) fn validate(args: &ValidateArgs, settings: &SettingsArgs, out: &mut Out) -> ExitResult {
    let here = Path::new(".");
    let paths = if args.paths.is_empty() && settings.catalog.is_none() && Catalog::is_folder(here) {
        &vec![here.to_owned()]
    } else {
        &args.paths
    };
    let report = Checker::new(settings::settings(settings)?).report(paths)?;
    if args.json {
        print_json(&report.json(), out)?;
    } else if args.sarif {
        let root = std::env::current_dir().map_err(|error| {
            let message = format!("The current folder cannot be read: {error}.");
            Failure::invalid_input("--sarif", message)
        })?;
        print_json(&sarif(&report, &root), out)?;
    } else {
        let text = text(&report, settings::has_colours(out));
        out.write_all(text.as_bytes())?;
    }
    Ok(if report.count(Severity::Error) > 0 {
        INVALID
    } else {
        0
    })
}
