//! `guide`: Markdown pages for users, one for each topic.
//!
//! The pages are in `guides/` and compiled in, so that they belong to the version of the binary. A
//! test runs every console block in them.

use std::io::Write;

use clap::Args;
use serde_json::{Value, json};

use crate::front::cli::ExitResult;
use crate::front::cli::describe::print_json;
use crate::front::cli::out::Out;
use crate::names::suggestion;
use crate::protocol::{ErrorKind, Failure};

/// Arguments of `guide`.
#[derive(Args, Debug)]
pub(super) struct GuideArgs {
    /// The topic [default: list the topics]
    topic: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A guide: a Markdown page. Its first line is the title.
#[derive(Debug)]
pub struct Guide {
    /// The name of its file, without `.md`.
    pub topic: &'static str,
    /// The page.
    pub text: &'static str,
}

impl Guide {
    /// The title.
    pub fn title(&self) -> &'static str {
        let title = self.text.lines().next().unwrap_or_default();
        title.trim_start_matches("# ")
    }
}

macro_rules! guides {
    ($($topic:literal),* $(,)?) => {
        /// THE TABLE of guides, in the order of the list.
        pub const GUIDES: &[Guide] = &[$(Guide {
            topic: $topic,
            text: include_str!(concat!("../../../guides/", $topic, ".md")),
        },)*];
    };
}

guides![
    "requests",
    "sign-in",
    "schedule",
    "monitoring",
    "troubleshooting",
    "mapping",
    "review-mapping",
    "manifest",
    "rules",
    "simulator",
    "migration",
];

/// Prints one guide, or the list of topics.
pub(super) fn print(args: &GuideArgs, out: &mut Out) -> ExitResult {
    let Some(topic) = &args.topic else {
        return list(args.json, out);
    };
    let found = GUIDES.iter().find(|guide| guide.topic == topic);
    let guide = found.ok_or_else(|| {
        let hint = suggestion(topic, GUIDES.iter().map(|guide| guide.topic));
        let message = format!("There is no guide \"{topic}\". {hint}");
        Failure::new(ErrorKind::UnknownName, message)
            .advice("Run `soarhost guide` for the list of topics.")
    })?;
    if args.json {
        let text = json!({ "topic": guide.topic, "title": guide.title(), "text": guide.text });
        return print_json(&text, out);
    }
    out.write_all(guide.text.as_bytes())?;
    Ok(0)
}

fn list(json: bool, out: &mut Out) -> ExitResult {
    if json {
        let guides = GUIDES.iter();
        let guides: Vec<Value> = guides
            .map(|guide| json!({ "topic": guide.topic, "title": guide.title() }))
            .collect();
        return print_json(&json!({ "guides": guides }), out);
    }
    let width = GUIDES.iter().map(|guide| guide.topic.len()).max();
    let width = width.unwrap_or_default() + 2;
    for guide in GUIDES {
        writeln!(out, "{:<width$}{}", guide.topic, guide.title())?;
    }
    writeln!(out, "\nPrint a guide: soarhost guide TOPIC")?;
    Ok(0)
}
