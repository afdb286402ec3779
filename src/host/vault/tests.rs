//! The vault, held against what may happen to its files.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::identity::store::{Key, Owner};
use crate::net::Audience;

const TOKEN: &str = "eyJ.canary-token.sig";
const SECRET: &str = "canary-client-secret";

fn entry(tenant: &str, secret: &str) -> Entry {
    let owner = Owner {
        cloud: "commercial".into(),
        login: "https://login.test/".into(),
        tenant: tenant.into(),
        client_id: "c".into(),
    };
    let key = Key {
        owner,
        audience: Audience("https://graph.test".into()),
        credential: "client_secret f".into(),
    };
    Entry {
        single_use: false,
        key,
        material: Some(Secret::new(secret)),
    }
}

fn granted(value: &str) -> TokenGrant {
    TokenGrant {
        token: Token {
            value: Secret::new(value),
            tenant: Some("t".into()),
            roles: vec!["A.Read".into()],
        },
        lifetime: Duration::from_secs(3_599),
        refresh: None,
    }
}

fn at(text: &str) -> Clock {
    Clock::Fixed(text.parse().expect("a time"))
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
        .block_on(work)
}

/// A state folder and the vault in it, at noon.
struct Bench {
    folder: tempfile::TempDir,
    vault: Vault,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let vault = Vault::new(folder.path(), at("2026-01-14T12:00:00Z"));
        Bench { folder, vault }
    }

    /// With the token of tenant `t` kept.
    fn filled() -> Self {
        let bench = Bench::new();
        bench.write(&entry("t", SECRET), TOKEN);
        bench
    }

    fn write(&self, entry: &Entry, value: &str) {
        let place = run(self.vault.lock(entry)).expect("a place");
        place.write(&granted(value));
    }

    /// What is kept for that entry, and the codes of the warnings.
    fn read(&self, entry: &Entry) -> (Option<String>, Vec<String>) {
        let place = run(self.vault.lock(entry));
        let kept = place.and_then(|place| place.read());
        let value = kept.map(|kept| kept.granted.token.value.expose().to_owned());
        let codes = self.vault.warnings().into_iter().map(|told| told.code);
        (value, codes.collect())
    }

    fn file(&self, entry: &Entry) -> PathBuf {
        self.vault.file(entry)
    }
}

fn ignored() -> (Option<String>, Vec<String>) {
    (None, vec!["vault_ignored".to_owned()])
}

fn kept(value: &str) -> (Option<String>, Vec<String>) {
    (Some(value.to_owned()), Vec::new())
}

fn put(file: &Path, bytes: &[u8]) {
    let mut opened = fs::File::create(file).expect("a file");
    io::Write::write_all(&mut opened, bytes).expect("it is written");
}

#[test]
fn what_was_written_is_read_with_its_age() {
    let bench = Bench::filled();
    let later = Vault::new(bench.folder.path(), at("2026-01-14T12:10:00Z"));
    let own = entry("t", SECRET);
    let place = run(later.lock(&own)).expect("a place");
    let kept = place.read().expect("a token");
    assert_eq!(kept.granted.token.value.expose(), TOKEN);
    assert_eq!(kept.granted.token.tenant.as_deref(), Some("t"));
    assert_eq!(kept.granted.token.roles, ["A.Read"]);
    assert_eq!(kept.granted.lifetime, Duration::from_secs(3_599));
    assert_eq!(kept.age, Duration::from_mins(10));
    assert_eq!(later.warnings(), []);
    assert_eq!(bench.read(&entry("other", SECRET)), (None, Vec::new()));
}

#[test]
fn a_token_from_the_future_is_not_believed_but_what_renews_it_is() {
    let bench = Bench::filled();
    let own = entry("t", SECRET);
    for (now, lifetime) in [
        ("2026-01-14T11:59:30Z", Duration::from_secs(3_599)),
        ("2026-01-14T11:00:00Z", Duration::ZERO),
    ] {
        let earlier = Vault::new(bench.folder.path(), at(now));
        let place = run(earlier.lock(&own)).expect("a place");
        let kept = place.read().expect("a token");
        assert_eq!(kept.granted.lifetime, lifetime, "{now}");
        assert_eq!(kept.age, Duration::ZERO);
    }
}

#[test]
fn without_the_credential_or_the_key_a_file_opens_for_nobody() {
    let bench = Bench::filled();
    let own = entry("t", SECRET);
    assert_eq!(bench.read(&entry("t", "another secret")), ignored());
    let other = entry("u", SECRET);
    fs::copy(bench.file(&own), bench.file(&other)).expect("a copy");
    assert_eq!(bench.read(&other), ignored());
    assert_eq!(bench.read(&own), kept(TOKEN));
}

#[test]
fn a_file_that_was_altered_anywhere_is_ignored_and_then_replaced() {
    let bench = Bench::filled();
    let own = entry("t", SECRET);
    let file = bench.file(&own);
    let whole = fs::read(&file).expect("it reads");
    for at in 0..whole.len() - 1 {
        let mut altered = whole.clone();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        put(&file, &altered);
        assert_eq!(bench.read(&own), ignored(), "byte {at}");
    }
    for foreign in [
        &b""[..],
        b"{}",
        b"\0\xff",
        b"{\"state_key\":\"x\"}",
        &whole[..whole.len() / 2],
    ] {
        put(&file, foreign);
        assert_eq!(bench.read(&own), ignored());
    }
    bench.write(&own, "renewed");
    assert_eq!(bench.read(&own), kept("renewed"));
}

#[test]
fn nothing_secret_stands_in_the_folder_and_nobody_else_may_read_it() {
    let bench = Bench::filled();
    let first = fs::read(bench.file(&entry("t", SECRET))).expect("it reads");
    let text = String::from_utf8(first.clone()).expect("text");
    assert!(text.starts_with("{\"vault\":2,\"salt\":\""), "{text}");
    let clear: Vec<u8> = text
        .split('"')
        .filter_map(|part| STANDARD.decode(part).ok())
        .flatten()
        .chain(first.clone())
        .collect();
    for secret in [TOKEN, SECRET, "A.Read"] {
        let found = clear
            .windows(secret.len())
            .any(|piece| piece == secret.as_bytes());
        assert!(!found, "{secret}");
    }
    assert!(!format!("{:?}", bench.vault).contains("canary"));
    bench.write(&entry("t", SECRET), TOKEN);
    let again = fs::read(bench.file(&entry("t", SECRET))).expect("it reads");
    assert_ne!(first, again, "salt and nonce are new each time");
    let mode = |path: &Path| fs::metadata(path).expect("it").permissions().mode() & 0o777;
    assert_eq!(mode(&bench.folder.path().join("tokens")), 0o700);
    for found in fs::read_dir(bench.folder.path().join("tokens")).expect("a folder") {
        assert_eq!(mode(&found.expect("an entry").path()), 0o600);
    }
}

#[test]
fn only_the_token_that_was_refused_is_thrown_away() {
    let bench = Bench::filled();
    let own = entry("t", SECRET);
    bench.vault.forget(&own, &granted("an older one").token);
    assert_eq!(bench.read(&own), kept(TOKEN));
    {
        let _held = run(bench.vault.lock(&own)).expect("a place");
        bench.vault.forget(&own, &granted(TOKEN).token);
    }
    assert_eq!(bench.read(&own), kept(TOKEN), "whoever holds it renews it");
    bench.vault.forget(&own, &granted(TOKEN).token);
    assert_eq!(bench.read(&own), (None, Vec::new()));
}

#[test]
fn a_place_is_held_by_one_and_waited_for() {
    let bench = Bench::new();
    let own = entry("t", SECRET);
    run(async {
        let held = bench.vault.lock(&own).await.expect("a place");
        let (waiting, ()) = tokio::join!(bench.vault.lock(&own), async {
            tokio::task::yield_now().await;
            held.write(&granted(TOKEN));
            drop(held);
        });
        let found = waiting.expect("a place").read().expect("a token");
        assert_eq!(found.granted.token.value.expose(), TOKEN);
    });
}

#[test]
fn a_folder_that_cannot_be_used_is_told_once_and_stops_nobody() {
    let bench = Bench::new();
    put(&bench.folder.path().join("tokens"), b"a file");
    for tenant in ["t", "u"] {
        assert!(run(bench.vault.lock(&entry(tenant, SECRET))).is_none());
    }
    let told = bench.vault.warnings();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].code, "vault_unusable");
    assert_eq!(told[0].at.as_deref(), Some("--state"));
    let bench = Bench::filled();
    let own = entry("t", SECRET);
    fs::remove_file(bench.file(&own)).expect("it was there");
    fs::create_dir(bench.file(&own)).expect("a folder");
    assert_eq!(bench.read(&own), (None, vec!["vault_unusable".to_owned()]));
    bench.write(&own, TOKEN);
    assert_eq!(bench.vault.warnings()[0].code, "vault_unusable");
}

#[test]
fn what_gets_the_next_token_outlives_the_token_that_was_refused() {
    let bench = Bench::new();
    let own = entry("t", SECRET);
    let with_refresh = TokenGrant {
        refresh: Some(Secret::new("canary-refresh")),
        ..granted(TOKEN)
    };
    run(bench.vault.lock(&own))
        .expect("a place")
        .write(&with_refresh);
    bench.vault.forget(&own, &granted(TOKEN).token);
    let kept = run(bench.vault.lock(&own)).and_then(|place| place.read());
    let kept = kept.expect("it is there").granted;
    assert_eq!(
        (kept.token.value.expose(), kept.lifetime),
        ("", Duration::ZERO)
    );
    assert_eq!(kept.refresh.expect("it stays").expose(), "canary-refresh");
    assert_eq!(bench.vault.warnings(), []);
}

#[test]
fn a_file_of_the_first_version_is_read() {
    let bench = Bench::filled();
    let own = entry("t", SECRET);
    let file = bench.file(&own);
    let text = fs::read_to_string(&file).expect("it reads");
    put(
        &file,
        text.replace("{\"vault\":2", "{\"vault\":1").as_bytes(),
    );
    assert_eq!(bench.read(&own), kept(TOKEN));
    put(
        &file,
        text.replace("{\"vault\":2", "{\"vault\":3").as_bytes(),
    );
    assert_eq!(bench.read(&own), ignored());
}

#[test]
fn a_reset_finds_an_owners_files_and_no_others() {
    let bench = Bench::filled();
    let mut other = entry("t", SECRET);
    other.key.credential = "authorization_code g".into();
    bench.write(&other, TOKEN);
    bench.write(&entry("u", SECRET), TOKEN);
    let owner = &entry("t", SECRET).key.owner;
    assert_eq!(bench.vault.reset(owner).expect("it works"), 2);
    assert_eq!(bench.vault.reset(owner).expect("it works"), 0);
    assert_eq!(bench.read(&entry("u", SECRET)), kept(TOKEN));
    let nothing = Vault::new(&bench.folder.path().join("no"), bench.vault.clock);
    assert_eq!(nothing.reset(owner).expect("nothing is kept"), 0);
}

#[test]
fn without_a_credential_the_operators_key_counts_and_else_one_that_is_made_once() {
    let bench = Bench::new();
    let mut own = entry("", "");
    own.material = None;
    bench.write(&own, TOKEN);
    assert_eq!(bench.read(&own), kept(TOKEN));
    let file = bench.folder.path().join(OWN_KEY);
    let mode = fs::metadata(&file).expect("a key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let keyed = Vault::new(bench.folder.path(), bench.vault.clock);
    let keyed = keyed.with_key(Some(Secret::new("canary-operator-key")));
    assert!(run(keyed.lock(&own)).expect("a place").read().is_none());
    put(&file, b"damaged");
    assert!(run(bench.vault.lock(&own)).is_none());
    assert_eq!(bench.vault.warnings()[0].code, "vault_unusable");
}
