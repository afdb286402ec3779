//! Faults as text, as a compiler shows them: the message, the line, the place, the advice.
//!
//! Does not decide whether colours are used.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::front::counted;
use crate::front::diagnostics::{Fault, Report, Severity};

/// The faults, then a line that counts them.
pub(in crate::front) fn text(report: &Report, has_colours: bool) -> String {
    let renderer = if has_colours {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut text = String::new();
    for fault in &report.faults {
        text.push_str(&renderer.render(&groups(fault)));
        text.push_str("\n\n");
    }
    text + &summary(report)
}

fn groups(fault: &Fault) -> Vec<Group<'_>> {
    let level = match fault.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(&*fault.message);
    let origin = match fault.place {
        Some(place) => Origin::path(&*fault.file)
            .line(place.line)
            .char_column(place.column),
        None => Origin::path(&*fault.file),
    };
    let mut group = match (&fault.excerpt, fault.place) {
        (Some(excerpt), Some(place)) => {
            let mark = AnnotationKind::Primary.span(excerpt.marked.clone());
            let snippet = Snippet::source(&*excerpt.line)
                .line_start(place.line)
                .annotation(mark);
            // The snippet shows the column of its own text, which masked secrets move.
            if excerpt.column() == place.column {
                title.element(snippet.path(&*fault.file))
            } else {
                title.element(origin).element(snippet)
            }
        }
        _ => title.element(origin),
    };
    if let Some(advice) = &fault.advice {
        group = group.element(Level::HELP.message(&**advice));
    }
    vec![group]
}

fn summary(report: &Report) -> String {
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let noun = if report.is_builtin {
        "built-in file"
    } else {
        "file"
    };
    let checked = counted(number(report.checked), noun);
    let counts = [(Severity::Error, "error"), (Severity::Warning, "warning")];
    let counts = counts.map(|(severity, noun)| (number(report.count(severity)), noun));
    let found: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, noun)| counted(count, noun))
        .collect();
    match found.as_slice() {
        [] => format!("0 faults; {checked} checked.\n"),
        found => format!("{}; {checked} checked.\n", found.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_used_only_on_request() {
        let report = || Report {
            checked: 1,
            is_builtin: false,
            faults: vec![Fault::of_file("a.json", "No. Write it.")],
        };
        let plain = "error: No.\n--> a.json\n = help: Write it.\n\n1 error; 1 file checked.\n";
        assert_eq!(text(&report(), false), plain);
        let coloured = text(&report(), true);
        assert!(coloured.contains("\x1b[") && coloured.contains("Write it."));
    }
}
