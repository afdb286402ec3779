//! The errors of an integration: its own status codes, those of the services that its commands call,
//! and the kinds of failures.
//!
//! Texts are the causes and advices that results contain.

use super::{cell, line};
use crate::identity::token_endpoint;
use crate::manifest::Manifest;
use crate::microsoft::feed;
use crate::protocol::{CodeMeaning, ErrorKind};

/// Writes the section.
pub(super) fn section(page: &mut String, manifest: &Manifest) {
    line(page, "\n## Errors");
    line(
        page,
        "\n`error.status_code` is the first of: a code of this integration, the Management API's `AF…` code, `AADSTS…` for a \
         refused sign-in, the HTTP status, the number of the kind. `error.upstream.code` is always the service's own code.",
    );
    own_codes(page, manifest);
    let calls = |prefix: &str| {
        let mut commands = manifest.commands.iter();
        commands.any(|command| command.operation.starts_with(prefix))
    };
    if calls("feed.") {
        meanings(
            page,
            "Office 365 Management Activity API",
            feed::error::documented_codes(),
        );
    }
    if !manifest.connection.is_empty() {
        meanings(page, "Sign-in", &token_endpoint::documented_codes());
    }
    kinds(page);
}

/// The status codes that the manifest sets.
fn own_codes(page: &mut String, manifest: &Manifest) {
    if manifest.codes.is_empty() {
        return;
    }
    line(page, "\n### Codes of this integration\n");
    line(page, "| Cause | `status_code` |\n|---|---|");
    for (when, code) in &manifest.codes {
        line(page, &format!("| `{when}` | `{code}` |"));
    }
}

fn meanings(page: &mut String, title: &str, meanings: &[CodeMeaning]) {
    line(page, &format!("\n### {title}\n"));
    line(
        page,
        "| Code | Kind | Cause | What to do |\n|---|---|---|---|",
    );
    for one in meanings {
        let codes = one.codes.join(", ");
        let (kind, cause, advice) = (one.kind.name(), cell(&one.cause), cell(&one.advice));
        line(
            page,
            &format!("| {codes} | `{kind}` | {cause} | {advice} |"),
        );
    }
}

fn kinds(page: &mut String) {
    line(page, "\n### Kinds of failures\n");
    line(
        page,
        "`error.kind` is stable: branch on it, not on texts. A failure can have its own cause and advice.\n",
    );
    line(
        page,
        "| Kind | Number | Exit code | Retry | Cause | What to do |\n|---|---|---|---|---|---|",
    );
    for kind in ErrorKind::ALL {
        let (cause, advice) = kind.usual();
        let retry = if kind.retryable() { "yes" } else { "no" };
        let exit = match kind {
            ErrorKind::Cancelled => "130, 143".to_owned(),
            kind => kind.exit_code().to_string(),
        };
        let (name, number) = (kind.name(), kind.number());
        line(
            page,
            &format!("| `{name}` | {number} | {exit} | {retry} | {cause} | {advice} |"),
        );
    }
}
