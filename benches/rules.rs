//! How fast the built-in rules are evaluated over one run of many records, and how much memory it takes.
//!
//! `cargo bench --bench rules [RECORDS] [FOLDER]`, by default 1,000,000 records; the rules of a catalog
//! folder are added to the built-in ones. The records are generated from templates
//! in the shape of real ones, each with an id and a time of its own: a day of a tenant, in which one
//! user downloads many files and one address tries many accounts. The baseline is what every run does
//! with a record: a validating skip. One core; the peak is what the kernel says (`VmHWM`).

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a benchmark prints"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::de::IgnoredAny;
use soarhost::host::catalog::Catalog;
use soarhost::rules::RuleSet;

const TENANT: &str = r#""OrganizationId":"11111111-2222-3333-4444-555555555555","UserKey":"10032000ABCDEF01","UserType":0,"Version":1"#;
const FILE: &str = r#""EventSource":"SharePoint","ItemType":"File","ListId":"7f2c0a14-0000-4d5e-8f2c-000000000001","ListItemUniqueId":"0d9e7d7c-0000-4a44-b1c9-000000000002","Site":"5d180afc-0000-4f8a-91cf-000000000003","UserAgent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36","WebId":"8c5c94bb-0000-4ef4-8a3c-000000000004","SourceFileExtension":"docx","SiteUrl":"https://contoso.sharepoint.com/sites/team/","SourceFileName":"plan.docx","SourceRelativeUrl":"Shared Documents","ObjectId":"https://contoso.sharepoint.com/sites/team/Shared Documents/plan.docx","ApplicationDisplayName":"Office","BrowserName":"Edge","Platform":"WinDesktop","IsManagedDevice":true"#;
const SIGN_IN: &str = r#""ObjectId":"00000003-0000-0000-c000-000000000000","AzureActiveDirectoryEventType":1,"ExtendedProperties":[{"Name":"ResultStatusDetail","Value":"Success"},{"Name":"UserAgent","Value":"Mozilla/5.0 (Windows NT 10.0; Win64; x64)"},{"Name":"UserAuthenticationMethod","Value":"1"},{"Name":"RequestType","Value":"OAuth2:Authorize"}],"ModifiedProperties":[],"Actor":[{"ID":"0f3d1b8e-7b11-4c61-8c55-9a3f2b7e0001","Type":0},{"ID":"ada@contoso.onmicrosoft.com","Type":5}],"ActorContextId":"11111111-2222-3333-4444-555555555555","ActorIpAddress":"203.0.113.7","InterSystemsId":"9d7d4b52-5f52-4a0b-a2a4-5d3f0c7f0001","IntraSystemId":"1a7f63c2-95bb-41cb-bd8c-cf6ef02c0001","SupportTicketId":"","Target":[{"ID":"00000003-0000-0000-c000-000000000000","Type":0}],"ApplicationId":"89bee1f7-5e6e-4d8a-9f3d-ecd601259da7","DeviceProperties":[{"Name":"OS","Value":"Windows10"},{"Name":"BrowserType","Value":"Edge"}],"ErrorNumber":"0""#;
const MAIL: &str = r#""ResultStatus":"Succeeded","ClientInfoString":"Client=OWA;Action=ViaProxy","ExternalAccess":false,"InternalLogonType":0,"LogonType":0,"LogonUserSid":"S-1-5-21-1-2-3-1001","MailboxGuid":"ce1acd09-0000-4885-8759-8a0cbb5d0001","MailboxOwnerUPN":"ada@contoso.onmicrosoft.com","OriginatingServer":"AB1PR01MB0001 (15.20.9000.012)\r\n","OperationCount":3,"OperationProperties":[{"Name":"MailAccessType","Value":"Bind"},{"Name":"IsThrottled","Value":"False"}],"Folders":[{"Path":"\\Inbox","FolderItems":[{"InternetMessageId":"<AB1PR01MB0001@AB1PR01MB0001.eurprd01.prod.outlook.com>","SizeInBytes":31245},{"InternetMessageId":"<AB1PR01MB0002@AB1PR01MB0001.eurprd01.prod.outlook.com>","SizeInBytes":1245}]}]"#;
const CHAT: &str = r#""ChatThreadId":"19:chat@unq.gbl.spaces","CommunicationType":"OneOnOne","MessageId":"1700000000000","ParticipantInfo":{"HasForeignTenantUsers":false,"HasGuestUsers":false,"ParticipatingTenantIds":["11111111-2222-3333-4444-555555555555"]},"ResourceTenantId":"11111111-2222-3333-4444-555555555555""#;
const CMDLET: &str = r#""ResultStatus":"True","ObjectId":"contoso.onmicrosoft.com/ada","ExternalAccess":false,"OriginatingServer":"AB1PR01MB0001","Parameters":[{"Name":"Identity","Value":"ada"},{"Name":"MaxSendSize","Value":"35 MB"}]"#;

/// Operation, record type, workload, further members, and how many of a thousand records.
const MIX: [(&str, u32, &str, &str, u64); 12] = [
    ("FileAccessed", 6, "SharePoint", FILE, 260),
    ("MailItemsAccessed", 50, "Exchange", MAIL, 230),
    ("UserLoggedIn", 15, "AzureActiveDirectory", SIGN_IN, 150),
    ("FileModified", 6, "OneDrive", FILE, 90),
    ("FileDownloaded", 6, "SharePoint", FILE, 70),
    ("FilePreviewed", 6, "SharePoint", FILE, 60),
    ("MessageSent", 25, "MicrosoftTeams", CHAT, 50),
    ("FileUploaded", 6, "OneDrive", FILE, 40),
    ("FileRecycled", 6, "OneDrive", FILE, 20),
    ("UserLoginFailed", 15, "AzureActiveDirectory", SIGN_IN, 15),
    ("Set-Mailbox", 1, "Exchange", CMDLET, 10),
    ("Update user.", 8, "AzureActiveDirectory", SIGN_IN, 5),
];

/// Writes record `n`. One in a hundred belongs to an attack.
fn write(n: u64, buffer: &mut String) {
    let random = n
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(29)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9)
        >> 11;
    let mut place = random % 1_000;
    let kind = MIX.iter().find(|(.., share)| {
        let is_here = place < *share;
        place = place.saturating_sub(*share);
        is_here
    });
    let (operation, record_type, workload, rest, _) = kind.unwrap_or(&MIX[0]);
    let (mut user, mut address) = (random / 1_000 % 2_000, random / 1_000 % 500);
    match (*operation, n % 10) {
        ("FileDownloaded", 0) => user = 7,
        ("UserLoginFailed", 0) => address = 999,
        _ => {}
    }
    let second = n % 86_400;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    buffer.clear();
    write!(
        buffer,
        r#"{{"CreationTime":"2026-01-14T{hour:02}:{minute:02}:{second:02}","Id":"5b0f5c77-1c7a-4f2f-9a39-{n:012x}","Operation":"{operation}",{TENANT},"RecordType":{record_type},"Workload":"{workload}","ClientIP":"203.0.113.{address}","UserId":"user{user}@contoso.onmicrosoft.com",{rest}}}"#
    )
    .expect("a text");
}

fn timed(records: u64, mut handle: impl FnMut(&str)) -> (Duration, u64) {
    let (mut buffer, mut bytes) = (String::new(), 0);
    let started = Instant::now();
    for n in 0..records {
        write(n, &mut buffer);
        bytes += buffer.len() as u64;
        handle(black_box(&buffer));
    }
    (started.elapsed(), bytes)
}

/// A line of the process's status, in KiB.
fn memory(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.unwrap_or_default()
}

fn main() {
    let records = std::env::args()
        .find_map(|arg| arg.parse().ok())
        .unwrap_or(1_000_000);
    let catalog = Catalog::builtin().expect("the catalog");
    let folder = std::env::args()
        .skip(1)
        .find(|arg| std::path::Path::new(arg).is_dir());
    let more = folder.map(|folder| Catalog::read(folder.as_ref()).expect("a catalog").0);
    let texts: Vec<_> = std::iter::once(&catalog)
        .chain(&more)
        .flat_map(Catalog::rules)
        .collect();
    let started = Instant::now();
    let rules = RuleSet::compile(&texts).expect("they compile");
    println!(
        "{} rules compiled in {:.1} ms",
        rules.len(),
        started.elapsed().as_secs_f64() * 1e3
    );

    let (made, bytes) = timed(records, |_| {});
    let (skipped, _) = timed(records, |text| {
        let skipped: Result<IgnoredAny, _> = serde_json::from_str(text);
        skipped.expect("JSON");
    });
    let before = memory("VmRSS");
    let now: DateTime<Utc> = "2026-01-15T00:00:00Z".parse().expect("a time");
    let mut run = rules.start(None, now);
    let (evaluated, _) = timed(records, |text| run.record(text));
    let started = Instant::now();
    let outcome = run.finish();
    let finished = started.elapsed();

    let (skip, rules) = (
        skipped.saturating_sub(made),
        evaluated.saturating_sub(made) + finished,
    );
    let seconds = rules.as_secs_f64();
    println!("{records} records, {} MB", bytes / 1_000_000);
    println!(
        "rules: {:.0} records a second ({seconds:.2} s, of it {:.2} s at the end)",
        records as f64 / seconds,
        finished.as_secs_f64()
    );
    println!(
        "skip and rules against skip alone: {:.2}",
        (skip + rules).as_secs_f64() / skip.as_secs_f64()
    );
    println!(
        "peak memory: {} MiB, of it {} MiB before the run",
        memory("VmHWM") / 1_024,
        before / 1_024
    );
    let state = outcome.state.map_or(0, |state| state.to_string().len());
    println!(
        "{} alerts; state of {} KiB",
        outcome.alerts.len(),
        state / 1_024
    );
    for warning in outcome.warnings {
        println!("{}: {}", warning.code, warning.message);
    }
}
