//! `mapping test` and `mapping diff`, on the folder `tests/it/acme` and on this repository.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::console;
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

fn git(folder: &Path, args: &[&str]) {
    let output = Command::new("git")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.test"])
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git");
    assert!(output.status.success(), "{}", printed(&output));
}

fn commit(folder: &Path) {
    git(folder, &["add", "."]);
    git(folder, &["commit", "-qm", "change"]);
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
        shown(&["diff", OLD, "acme/tickets"]),
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
fn saved_result_is_a_sample() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("result.json");
    let raw = include_str!("acme/samples/acme/alert/phishing.json");
    for (raw, code, text) in [
        (
            raw,
            0,
            "The versions are the same: 2 events in 1 sample compared.\n",
        ),
        (
            "null",
            2,
            "error: The raw data cannot be read: the result has no `raw_data`.\n",
        ),
    ] {
        let result = format!(r#"{{"protocol":1,"return_data":"Successful","raw_data":{raw}}}"#);
        std::fs::write(&file, result).expect("a file");
        let output = mapping(root(), &["diff", ALERT, ALERT, &file.to_string_lossy()]);
        assert_eq!(output.status.code(), Some(code));
        assert!(printed(&output).starts_with(text), "{}", printed(&output));
    }
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
fn update_follows_no_link() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().expect("a folder");
    let (own, other) = (folder.path().join("own"), folder.path().join("other"));
    copy(&root().join("tests/it/acme"), &own);
    copy(&own.join("snapshots/acme/alert"), &other.join("alert"));
    let before = std::fs::read_dir(other.join("alert"))
        .expect("a folder")
        .count();
    for link in ["snapshots/other", "snapshots/acme"] {
        symlink(&other, own.join(link)).expect("a link");
        let refused = printed(&mapping(&own, &["test", "--update"]));
        let message = format!("{link} is a symbolic link. Nothing was written");
        assert!(refused.contains(&message), "{refused}");
        std::fs::remove_file(own.join(link)).expect("a link");
        let _ = std::fs::remove_dir_all(own.join("snapshots/acme"));
    }
    let after = std::fs::read_dir(other.join("alert"))
        .expect("a folder")
        .count();
    assert_eq!(after, before);
}

#[test]
fn versions_of_git_revisions_are_compared_without_a_shell_or_options() {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&root().join("tests/it/acme"), folder.path());
    let path = "mappings/acme/alert.json";
    std::fs::copy(folder.path().join("old.json"), folder.path().join(path)).expect("a copy");
    git(folder.path(), &["init", "-q"]);
    commit(folder.path());
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

/// What a new user does with the binary, the guide and an empty folder: from a saved answer to a tested
/// mapping and a reviewed difference.
#[test]
fn guide_leads_to_a_tested_and_reviewed_mapping_in_ten_commands() {
    let folder = tempfile::tempdir().expect("a folder");
    let guide = include_str!("../../guides/mapping.md");
    let codes = console::exit_codes("guides/mapping.md", guide, folder.path());
    // `mv … && soarhost …` are two commands.
    let commands = codes.iter().flat_map(|(command, _)| command.split("&&"));
    assert!(commands.count() <= 10, "{codes:#?}");
    for (command, code) in &codes {
        let expected = i32::from(command.contains("mapping diff"));
        assert_eq!(*code, Some(expected), "{command}");
    }
    let mapping = folder.path().join("mappings/own/alerts.json");
    let text = std::fs::read_to_string(mapping).expect("a mapping");
    for part in ["\"custom\": true", "\"values\":", "\"when\":"] {
        assert!(text.contains(part), "the mapping has no {part}");
    }
    for command in ["mapping test", "mapping diff"] {
        assert!(
            codes.iter().any(|(one, _)| one.contains(command)),
            "{command}"
        );
    }
    let tested = mapping_test_of(folder.path());
    assert_eq!(
        (&tested["passed"], &tested["failed"]),
        (&1.into(), &0.into())
    );
}

fn mapping_test_of(folder: &Path) -> Value {
    let output = mapping(folder, &["test", "--json"]);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The script of the workflow in the guide, run on a change with names of files that a shell or an
/// option parser could misread.
#[test]
fn workflow_of_the_guide_compares_changed_mappings_without_write_permission() {
    let guide = include_str!("../../guides/review-mapping.md");
    let (_, workflow) = guide.split_once("```yaml\n").expect("a workflow");
    let (workflow, _) = workflow.split_once("```").expect("its end");
    assert!(!workflow.contains("pull_request_target"));
    let (compare, comment) = workflow.split_once("\n  comment:").expect("two jobs");
    assert!(compare.contains("\npermissions: {}\n"));
    assert!(
        compare.contains("permissions:\n      contents: read\n    steps")
            && !compare.contains("write")
    );
    assert!(comment.contains("permissions:\n      pull-requests: write\n    steps"));
    assert!(!comment.contains("checkout"));

    let (_, script) = compare
        .split_once("name: Compare the mappings\n        run: |\n")
        .expect("a script");
    let script: Vec<&str> = script
        .lines()
        .take_while(|line| line.starts_with("          "))
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join("repository").join(name);
    let odd = "mappings/own/--help $(touch pwned).json";
    for name in ["own", "own/--help $(touch pwned)"] {
        copy(
            &root().join("tests/it/acme/samples/acme/alert"),
            &path("samples").join(name),
        );
    }
    for (name, from) in [("mappings/own.json", OLD), (odd, OLD)] {
        std::fs::create_dir_all(path("mappings/own")).expect("a folder");
        std::fs::copy(root().join(from), path(name)).expect("a copy");
    }
    git(&path(""), &["init", "-q"]);
    commit(&path(""));
    for name in ["mappings/own.json", odd] {
        replace(&path(name), "\"high\"", "\"severe\"");
    }
    commit(&path(""));
    let binary = Path::new(env!("CARGO_BIN_EXE_soarhost"))
        .parent()
        .expect("a folder");
    let path_variable = format!(
        "{}:{}",
        binary.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let output = Command::new("bash")
        .args(["-e", "-c", &script.join("\n")])
        .current_dir(path(""))
        .env("PATH", path_variable)
        .env("RUNNER_TEMP", folder.path())
        .env("GITHUB_STEP_SUMMARY", folder.path().join("summary"))
        .output()
        .expect("bash");
    assert!(output.status.success(), "{}", printed(&output));
    let summary = std::fs::read_to_string(folder.path().join("summary")).expect("a summary");
    let row = "| `Severity` | changed in 1 event | `values.\"3\"`: `\"high\"` → `\"severe\"` |";
    assert_eq!(summary.matches(row).count(), 2, "{summary}");
    assert!(
        summary.contains("#### Mapping `own/--help $(touch pwned)`"),
        "{summary}"
    );
    assert!(!path("pwned").exists());
}
