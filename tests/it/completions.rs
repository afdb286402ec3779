//! Completion scripts and man pages: the scripts complete the names of the catalog in real shells
//! where these are installed, and every subcommand has a page.
//!
//! Shells that are not installed are checked by the text of their scripts only.

use std::path::Path;
use std::process::Command;

use crate::process::{feed, printed, soarhost};

fn script(shell: &str) -> String {
    let output = feed(soarhost(&["completions", shell]), "");
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Runs a shell, if it is installed, with the script in a file.
fn shell(name: &str, args: impl FnOnce(&Path) -> Vec<String>) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("script");
    std::fs::write(&file, script(name)).expect("a file");
    let output = match Command::new(name).args(args(&file)).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        output => output.expect("the shell runs"),
    };
    assert!(output.status.success(), "{name}: {}", printed(&output));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What a user types, and the names that must complete it.
const COMPLETED: [(&str, &str); 8] = [
    ("try fetch_", "fetch_event"),
    (
        "sample purview_audit_alert_v2.get",
        "purview_audit_alert_v2.get_audit_log",
    ),
    ("describe pol", "policy_compliance_audit_log"),
    ("map office", "office365_audit/event"),
    ("mapping diff office", "office365_audit/event"),
    ("reference oc", "ocsf"),
    ("guide map", "mapping"),
    ("rules explain malware", "malware_in_file"),
];

#[test]
fn names_of_the_catalog_are_completed_in_bash() {
    let completed = shell("bash", |file| {
        let complete = COMPLETED.map(|(typed, _)| {
            format!(
                "COMP_WORDS=(soarhost {typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
                 _soarhost soarhost \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; \
                 printf '%s\\n' \"${{COMPREPLY[@]}}\""
            )
        });
        let commands = format!("source '{}'; {}", file.display(), complete.join("; "));
        vec!["-c".to_owned(), commands]
    });
    for (typed, expected) in COMPLETED {
        if let Some(completed) = &completed {
            let found = completed.lines().any(|line| line == expected);
            assert!(found, "{typed}: {completed}");
        }
    }
}

#[test]
fn names_of_the_catalog_are_in_the_scripts_of_all_shells() {
    for name in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = script(name);
        for (_, expected) in COMPLETED {
            assert!(script.contains(expected), "{name}: {expected}");
        }
        assert!(!script.contains("slow_page"), "{name} completes chaos");
    }
    shell("zsh", |file| {
        vec!["-n".to_owned(), file.display().to_string()]
    });
    let in_fish = shell("fish", |file| {
        let typed = COMPLETED.map(|(typed, _)| format!("complete -C 'soarhost {typed}'"));
        let commands = format!("source '{}'; {}", file.display(), typed.join("; "));
        vec!["--no-config".to_owned(), "-c".to_owned(), commands]
    });
    for (typed, expected) in COMPLETED {
        if let Some(completed) = &in_fish {
            let mut lines = completed.lines();
            let found = lines.any(|line| line.split('\t').next() == Some(expected));
            assert!(found, "{typed}: {completed}");
        }
    }
}

#[test]
fn names_of_the_operators_catalog_are_completed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mapping = folder.path().join("mappings/own");
    std::fs::create_dir_all(&mapping).expect("a folder");
    let text = r#"{"mapping":1,"root":"$","sources":[{"id":"default","fields":[]}]}"#;
    std::fs::write(mapping.join("alerts.json"), text).expect("a file");
    let catalog = folder.path().to_string_lossy().into_owned();
    let args = ["completions", "zsh", "--catalog", &catalog];
    let output = feed(soarhost(&args), "");
    let script = String::from_utf8_lossy(&output.stdout);
    assert!(script.contains("own/alerts"), "{}", printed(&output));
    assert!(!script.contains("office365_audit/event"));
}

#[test]
fn every_subcommand_has_a_manual_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = folder.path().join("man1");
    let args = ["man", "--dir", pages.to_str().expect("UTF-8")];
    let output = feed(soarhost(&args), "");
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    let page = |name: &str| std::fs::read_to_string(pages.join(format!("{name}.1")));
    let main = page("soarhost").expect("a page");
    let subcommands: Vec<&str> = main
        .lines()
        .filter_map(|line| line.strip_prefix("soarhost\\-")?.strip_suffix("(1)"))
        .collect();
    assert!(subcommands.contains(&"run"), "{main}");
    for subcommand in subcommands {
        let page = page(&format!("soarhost-{subcommand}")).expect(subcommand);
        assert!(page.contains(".SH SYNOPSIS"), "{subcommand}: {page}");
    }
    let printed = feed(soarhost(&["man"]), "");
    let printed = String::from_utf8_lossy(&printed.stdout);
    assert!(printed.contains(r"\-\-secrets\-dir"), "{printed}");
}
