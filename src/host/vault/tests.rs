//! The vault with damaged, foreign, locked and old files.

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
        key_secret: Some(Secret::new(secret)),
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

/// A vault at noon, in a temporary state folder.
struct TestVault {
    folder: tempfile::TempDir,
    vault: Vault,
}

impl TestVault {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let vault = Vault::new(folder.path(), at("2026-01-14T12:00:00Z"), None);
        TestVault { folder, vault }
    }

    /// With a stored token of tenant `t`.
    fn filled() -> Self {
        let fixture = TestVault::new();
        fixture.write(&entry("t", SECRET), TOKEN);
        fixture
    }

    fn write(&self, entry: &Entry, value: &str) {
        let lock = run(self.vault.lock(entry)).expect("a lock");
        lock.write(&granted(value));
    }

    /// The stored token of an entry, and the codes of the warnings.
    fn read(&self, entry: &Entry) -> (Option<String>, Vec<String>) {
        let lock = run(self.vault.lock(entry));
        let stored = lock.and_then(|lock| lock.read());
        let value = stored.map(|stored| stored.granted.token.value.expose().to_owned());
        let codes = self
            .vault
            .warnings()
            .into_iter()
            .map(|warning| warning.code);
        (value, codes.collect())
    }

    fn file(&self, entry: &Entry) -> PathBuf {
        self.vault.file(entry)
    }
}

fn ignored() -> (Option<String>, Vec<String>) {
    (None, vec!["vault_ignored".to_owned()])
}

fn found(value: &str) -> (Option<String>, Vec<String>) {
    (Some(value.to_owned()), Vec::new())
}

fn put(file: &Path, bytes: &[u8]) {
    let mut opened = fs::File::create(file).expect("a file");
    io::Write::write_all(&mut opened, bytes).expect("it is written");
}

#[test]
fn token_is_read_back_with_its_age() {
    let fixture = TestVault::filled();
    let later = Vault::new(fixture.folder.path(), at("2026-01-14T12:10:00Z"), None);
    let own = entry("t", SECRET);
    let lock = run(later.lock(&own)).expect("a lock");
    let stored = lock.read().expect("a token");
    assert_eq!(stored.granted.token.value.expose(), TOKEN);
    assert_eq!(stored.granted.token.tenant.as_deref(), Some("t"));
    assert_eq!(stored.granted.token.roles, ["A.Read"]);
    assert_eq!(stored.granted.lifetime, Duration::from_secs(3_599));
    assert_eq!(stored.age, Duration::from_mins(10));
    assert_eq!(later.warnings(), []);
    assert_eq!(fixture.read(&entry("other", SECRET)), (None, Vec::new()));
}

#[test]
fn token_from_the_future_has_no_lifetime() {
    let fixture = TestVault::filled();
    let own = entry("t", SECRET);
    for (now, lifetime) in [
        ("2026-01-14T11:59:30Z", Duration::from_secs(3_599)),
        ("2026-01-14T11:00:00Z", Duration::ZERO),
    ] {
        let earlier = Vault::new(fixture.folder.path(), at(now), None);
        let lock = run(earlier.lock(&own)).expect("a lock");
        let stored = lock.read().expect("a token");
        assert_eq!(stored.granted.lifetime, lifetime, "{now}");
        assert_eq!(stored.age, Duration::ZERO);
    }
}

#[test]
fn file_of_other_credential_or_entry_is_ignored() {
    let fixture = TestVault::filled();
    let own = entry("t", SECRET);
    assert_eq!(fixture.read(&entry("t", "another secret")), ignored());
    let other = entry("u", SECRET);
    fs::copy(fixture.file(&own), fixture.file(&other)).expect("a copy");
    assert_eq!(fixture.read(&other), ignored());
    assert_eq!(fixture.read(&own), found(TOKEN));
}

#[test]
fn altered_file_is_ignored_and_replaced() {
    let fixture = TestVault::filled();
    let own = entry("t", SECRET);
    let file = fixture.file(&own);
    let whole = fs::read(&file).expect("readable");
    for at in 0..whole.len() - 1 {
        let mut altered = whole.clone();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        put(&file, &altered);
        assert_eq!(fixture.read(&own), ignored(), "byte {at}");
    }
    for foreign in [
        &b""[..],
        b"{}",
        b"\0\xff",
        b"{\"state_key\":\"x\"}",
        &whole[..whole.len() / 2],
    ] {
        put(&file, foreign);
        assert_eq!(fixture.read(&own), ignored());
    }
    fixture.write(&own, "renewed");
    assert_eq!(fixture.read(&own), found("renewed"));
}

#[test]
fn files_are_private_and_contain_no_plain_secret() {
    let fixture = TestVault::filled();
    let first = fs::read(fixture.file(&entry("t", SECRET))).expect("readable");
    let text = String::from_utf8(first.clone()).expect("text");
    assert!(text.starts_with("{\"vault\":2,\"salt\":\""), "{text}");
    let plain: Vec<u8> = text
        .split('"')
        .filter_map(|part| STANDARD.decode(part).ok())
        .flatten()
        .chain(first.clone())
        .collect();
    for secret in [TOKEN, SECRET, "A.Read"] {
        let found = plain
            .windows(secret.len())
            .any(|piece| piece == secret.as_bytes());
        assert!(!found, "{secret}");
    }
    assert!(!format!("{:?}", fixture.vault).contains("canary"));
    fixture.write(&entry("t", SECRET), TOKEN);
    let again = fs::read(fixture.file(&entry("t", SECRET))).expect("readable");
    assert_ne!(first, again, "salt and nonce are new each time");
    let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    assert_eq!(mode(&fixture.folder.path().join("tokens")), 0o700);
    for found in fs::read_dir(fixture.folder.path().join("tokens")).expect("a folder") {
        assert_eq!(mode(&found.expect("an entry").path()), 0o600);
    }
}

#[test]
fn only_the_refused_token_is_deleted() {
    let fixture = TestVault::filled();
    let own = entry("t", SECRET);
    fixture.vault.forget(&own, &granted("an older one").token);
    assert_eq!(fixture.read(&own), found(TOKEN));
    {
        let _held = run(fixture.vault.lock(&own)).expect("a lock");
        fixture.vault.forget(&own, &granted(TOKEN).token);
    }
    assert_eq!(
        fixture.read(&own),
        found(TOKEN),
        "the holder of the lock renews it"
    );
    fixture.vault.forget(&own, &granted(TOKEN).token);
    assert_eq!(fixture.read(&own), (None, Vec::new()));
}

#[test]
fn second_lock_waits_for_first() {
    let fixture = TestVault::new();
    let own = entry("t", SECRET);
    run(async {
        let held = fixture.vault.lock(&own).await.expect("a lock");
        let (waiting, ()) = tokio::join!(fixture.vault.lock(&own), async {
            tokio::task::yield_now().await;
            held.write(&granted(TOKEN));
            drop(held);
        });
        let found = waiting.expect("a lock").read().expect("a token");
        assert_eq!(found.granted.token.value.expose(), TOKEN);
    });
}

#[test]
fn unusable_folder_causes_one_warning() {
    let fixture = TestVault::new();
    put(&fixture.folder.path().join("tokens"), b"a file");
    for tenant in ["t", "u"] {
        assert!(run(fixture.vault.lock(&entry(tenant, SECRET))).is_none());
    }
    let warnings = fixture.vault.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0].code, "vault_unusable");
    assert_eq!(warnings[0].at.as_deref(), Some("--state"));
    let fixture = TestVault::filled();
    let own = entry("t", SECRET);
    fs::remove_file(fixture.file(&own)).expect("it exists");
    fs::create_dir(fixture.file(&own)).expect("a folder");
    assert_eq!(
        fixture.read(&own),
        (None, vec!["vault_unusable".to_owned()])
    );
    fixture.write(&own, TOKEN);
    assert_eq!(fixture.vault.warnings()[0].code, "vault_unusable");
}

#[test]
fn refresh_token_of_refused_token_is_not_deleted() {
    let fixture = TestVault::new();
    let own = entry("t", SECRET);
    let with_refresh = TokenGrant {
        refresh: Some(Secret::new("canary-refresh")),
        ..granted(TOKEN)
    };
    run(fixture.vault.lock(&own))
        .expect("a lock")
        .write(&with_refresh);
    fixture.vault.forget(&own, &granted(TOKEN).token);
    let stored = run(fixture.vault.lock(&own)).and_then(|lock| lock.read());
    let stored = stored.expect("it exists").granted;
    assert_eq!(
        (stored.token.value.expose(), stored.lifetime),
        ("", Duration::ZERO)
    );
    assert_eq!(
        stored.refresh.expect("a refresh token").expose(),
        "canary-refresh"
    );
    assert_eq!(fixture.vault.warnings(), []);
}

#[test]
fn file_of_first_version_is_read() {
    let fixture = TestVault::filled();
    let own = entry("t", SECRET);
    let file = fixture.file(&own);
    let text = fs::read_to_string(&file).expect("readable");
    put(
        &file,
        text.replace("{\"vault\":2", "{\"vault\":1").as_bytes(),
    );
    assert_eq!(fixture.read(&own), found(TOKEN));
    put(
        &file,
        text.replace("{\"vault\":2", "{\"vault\":3").as_bytes(),
    );
    assert_eq!(fixture.read(&own), ignored());
}

#[test]
fn reset_deletes_only_files_of_the_owner() {
    let fixture = TestVault::filled();
    let mut other = entry("t", SECRET);
    other.key.credential = "authorization_code g".into();
    fixture.write(&other, TOKEN);
    fixture.write(&entry("u", SECRET), TOKEN);
    let owner = &entry("t", SECRET).key.owner;
    assert_eq!(fixture.vault.reset(owner).expect("it works"), 2);
    assert_eq!(fixture.vault.reset(owner).expect("it works"), 0);
    assert_eq!(fixture.read(&entry("u", SECRET)), found(TOKEN));
    let nothing = Vault::new(&fixture.folder.path().join("no"), fixture.vault.clock, None);
    assert_eq!(nothing.reset(owner).expect("nothing to delete"), 0);
}

#[test]
fn entry_without_credential_uses_operator_key_or_generated_key() {
    let fixture = TestVault::new();
    let mut own = entry("", "");
    own.key_secret = None;
    fixture.write(&own, TOKEN);
    assert_eq!(fixture.read(&own), found(TOKEN));
    let file = fixture.folder.path().join(GENERATED_KEY);
    let mode = fs::metadata(&file).expect("a key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let keyed = Vault::new(
        fixture.folder.path(),
        fixture.vault.clock,
        Some(Secret::new("canary-operator-key")),
    );
    assert!(run(keyed.lock(&own)).expect("a lock").read().is_none());
    put(&file, b"damaged");
    assert!(run(fixture.vault.lock(&own)).is_none());
    assert_eq!(fixture.vault.warnings()[0].code, "vault_unusable");
}
