//! `mapping test` and `mapping diff`, on the folder `tests/it/acme` and on this repository.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::process::{feed, printed, soarhost};

const ALERT: &str = "tests/it/acme/mappings/acme/alert.json";
const OLD: &str = "tests/it/acme/old.json";

/// Runs a subcommand of `mapping` in a folder.
fn mapping(folder: &Path, args: &[&str]) -> Output {
    let args: Vec<&str> = ["mapping"].iter().chain(args).copied().collect();
    let mut command = soarhost(&args);
    command
        .current_dir(folder)
        .env("PATH", std::env::var("PATH").unwrap_or_default());
    feed(command, "")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Stdout, stderr and the exit code of a subcommand in the repository.
fn shown(args: &[&str]) -> String {
    let output = mapping(root(), args);
    let code = output.status.code().unwrap_or(-1);
    format!("{}\n── exit {code}\n", printed(&output).trim_end())
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("a copy");
        }
    }
}

fn replace(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).expect("a file");
    assert!(text.contains(from), "{from} in {}", file.display());
    std::fs::write(file, text.replace(from, to)).expect("it is written");
}

#[test]
fn output_of_mapping_test_and_diff_is_a_snapshot() {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(root().join("snapshots/cli"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let folder = tempfile::tempdir().expect("a folder");
    let junit = folder.path().join("results.xml");
    let mut pages = vec![
        shown(&["test", "--help"]),
        shown(&["test", "tests/it/acme"]),
        shown(&[
            "test",
            "tests/it/acme",
            "--json",
            "--junit",
            &junit.to_string_lossy(),
        ]),
        shown(&["test", "src"]),
    ];
    pages.push(std::fs::read_to_string(&junit).expect("a JUnit file"));
    settings.bind(|| insta::assert_snapshot!("mapping_test", pages.concat()));

    let samples = "tests/it/acme/samples/acme/alert/phishing.json";
    let pages = [
        shown(&["diff", "--help"]),
        shown(&["diff", OLD, ALERT]),
        shown(&["diff", OLD, ALERT, samples, "--markdown"]),
        shown(&["diff", OLD, ALERT, samples, "--json"]),
        shown(&["diff", ALERT, ALERT]),
        shown(&["diff", OLD, "acme/alert"]),
        shown(&[
            "diff",
            OLD,
            "tests/it/acme/mappings/acme/idle.json",
            samples,
        ]),
        shown(&["diff", "purview_audit_alert_v2/fetch_event", ALERT, OLD]),
    ];
    settings.bind(|| insta::assert_snapshot!("mapping_diff", pages.concat()));
}

#[test]
fn samples_of_this_repository_pass_and_a_changed_sample_or_snapshot_fails() {
    let output = mapping(root(), &["test", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(report["passed"].as_u64() > Some(10), "{report}");
    assert_eq!(report["untested"], serde_json::json!([]));

    let folder = tempfile::tempdir().expect("a folder");
    for part in ["mappings", "tests/samples/chaos", "snapshots/samples/chaos"] {
        copy(&root().join(part), &folder.path().join(part));
    }
    let tested = || {
        let output = mapping(folder.path(), &["test"]);
        (output.status.code(), printed(&output))
    };
    assert_eq!(tested().0, Some(0));
    let sample = folder
        .path()
        .join("tests/samples/chaos/record/records.json");
    let snapshot = folder
        .path()
        .join("snapshots/samples/chaos/record/records.snap");
    for (file, diff) in [
        (
            &sample,
            "-    \"Severity\": \"informational\"\n+    \"Severity\": \"other\"\n",
        ),
        (
            &snapshot,
            "-    \"Severity\": \"other\"\n+    \"Severity\": \"informational\"\n",
        ),
    ] {
        replace(file, "informational", "other");
        let (code, text) = tested();
        assert_eq!(code, Some(1));
        assert!(text.contains(diff), "{text}");
        replace(file, "other", "informational");
    }
    std::fs::remove_file(&sample).expect("a sample");
    std::fs::write(sample.with_file_name("new.json"), "[]").expect("a sample");
    let (code, text) = tested();
    assert_eq!(code, Some(1));
    assert!(
        text.contains("There is no snapshot snapshots/samples/chaos/record/new.snap."),
        "{text}"
    );
    assert!(
        text.contains("FAILED snapshots/samples/chaos/record/records.snap: No sample"),
        "{text}"
    );
}

#[test]
fn update_writes_and_deletes_snapshots_but_never_in_a_build() {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&root().join("tests/it/acme"), folder.path());
    let before = mapping(folder.path(), &["test"]);
    let mut command = soarhost(&["mapping", "test", "--update"]);
    command.current_dir(folder.path()).env("CI", "true");
    let refused = feed(command, "");
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        printed(&refused).contains("CI is set"),
        "{}",
        printed(&refused)
    );
    assert_eq!(
        printed(&mapping(folder.path(), &["test"])),
        printed(&before)
    );

    let updated = mapping(folder.path(), &["test", "--update"]);
    // Three samples still cannot be mapped.
    assert_eq!(updated.status.code(), Some(1));
    let text = printed(&updated);
    for line in [
        "Written: snapshots/acme/alert/nothing_found.snap",
        "Written: snapshots/acme/alert/sign_in.snap",
        "Deleted: snapshots/acme/alert/gone.snap (it has no sample)",
        "3 samples passed, 3 failed.",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} in {text}");
    }
    let snapshot = |name: &str| {
        let file = folder.path().join("snapshots/acme/alert").join(name);
        std::fs::read_to_string(file).unwrap_or_default()
    };
    let header = "---\ninput_file: samples/acme/alert/sign_in.json\n---\n{\n";
    assert!(snapshot("sign_in.snap").starts_with(header));
    assert_eq!(
        snapshot("nothing_found.snap"),
        "---\ninput_file: samples/acme/alert/nothing_found.json\n---\n\n"
    );
    let unchanged = root().join("tests/it/acme/snapshots/acme/alert/phishing.snap");
    assert_eq!(
        snapshot("phishing.snap"),
        std::fs::read_to_string(unchanged).expect("a snapshot")
    );
    let again = printed(&mapping(folder.path(), &["test"]));
    assert!(
        again.contains("3 samples passed, 3 failed.\n") && !again.contains("snapshot"),
        "{again}"
    );
}

#[test]
fn versions_of_git_revisions_are_compared_without_a_shell_or_options() {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&root().join("tests/it/acme"), folder.path());
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@example.com"])
            .args(args);
        git.current_dir(folder.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        let output = git.output().expect("git");
        assert!(output.status.success(), "{}", printed(&output));
    };
    let path = "mappings/acme/alert.json";
    std::fs::copy(folder.path().join("old.json"), folder.path().join(path)).expect("a copy");
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "old"]);
    replace(&folder.path().join(path), "\"high\"", "\"severe\"");
    let diff = |old: &str| mapping(folder.path(), &["diff", "--", old, path]);
    let output = diff("HEAD:mappings/acme/alert.json");
    assert_eq!(output.status.code(), Some(1), "{}", printed(&output));
    let expected = "1 of 3 events in 3 samples differs.\n\nSeverity: changed in 1 event\n  \
        values.\"3\": \"high\" → \"severe\"\n    sign_in sha256:";
    assert!(
        printed(&output).starts_with(expected),
        "{}",
        printed(&output)
    );

    for (old, message) in [
        ("HEAD:mappings", "is a folder"),
        (
            "HEAD:nothing.json",
            "cannot be read by git: path 'nothing.json' does not exist in 'HEAD'",
        ),
        (
            "nothing:old.json",
            "cannot be read by git: invalid object name 'nothing'",
        ),
        (
            "HEAD;touch x:old.json",
            "cannot be read by git: invalid object name 'HEAD;touch x'",
        ),
        (
            "--output=x:old.json",
            "is not a git revision: it starts with \"-\"",
        ),
    ] {
        let output = diff(old);
        assert_eq!(output.status.code(), Some(2), "{old}");
        let start = format!("error: \"{old}\" {message}.\n  advice: Write REVISION:PATH, ");
        assert!(printed(&output).starts_with(&start), "{}", printed(&output));
    }
    assert!(!folder.path().join("x").exists());
    let mut command = soarhost(&["mapping", "diff", "HEAD:a.json", path]);
    command.current_dir(folder.path()).env("PATH", "/nowhere");
    let text = printed(&feed(command, ""));
    assert!(
        text.contains("is a git revision, but git is not installed."),
        "{text}"
    );
}
