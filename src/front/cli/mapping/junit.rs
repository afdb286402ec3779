//! The results of `mapping test` as JUnit XML, which build servers show.
//!
//! It has no times and no host names: the same results are the same file.

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::report::Report;

/// One suite for each mapping, one test case for each sample or orphaned snapshot.
pub(super) fn xml(report: &Report) -> String {
    let mut xml = quick_junit::Report::new("mapping test");
    for results in report
        .results
        .chunk_by(|one, next| one.mapping == next.mapping)
    {
        let mut suite = TestSuite::new(results.first().map_or("", |one| one.mapping.as_str()));
        for one in results {
            let status = if one.passed() {
                TestCaseStatus::success()
            } else {
                failure(one.message.as_deref(), one.diff.as_deref())
            };
            let mut case = TestCase::new(&*one.name, status);
            case.set_classname(&*one.mapping);
            case.extra.insert("file".into(), (&*one.sample).into());
            suite.add_test_case(case);
        }
        xml.add_test_suite(suite);
    }
    if !report.orphans.is_empty() {
        let mut suite = TestSuite::new("snapshots without a sample");
        for orphan in &report.orphans {
            let message = Some("No sample has this snapshot.");
            suite.add_test_case(TestCase::new(&**orphan, failure(message, None)));
        }
        xml.add_test_suite(suite);
    }
    // Writing to a string cannot fail.
    xml.to_string().unwrap_or_default()
}

fn failure(message: Option<&str>, diff: Option<&str>) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(message.unwrap_or_default());
    if let Some(diff) = diff {
        status.set_description(diff);
    }
    status
}
