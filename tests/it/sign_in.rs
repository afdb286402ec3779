//! Trusting any certificate, against the simulator's own authority: with the parameter it works and
//! is told, without it the handshake fails.

use std::path::Path;

use serde_json::{Value, json};

use soarhost::clock::Clock;
use soarhost::host::{Cancel, Host, Pace, Settings};
use soarhost::protocol::{Redactor, ResultEnvelope};
use soarhost::sim::{Listen, Sim, World};
use soarhost::when;

use crate::bench::{CANARY, NOW};

/// A catalog of one command.
fn catalog(folder: &Path) {
    for below in ["manifests", "mappings"] {
        std::fs::create_dir(folder.join(below)).expect("a folder");
    }
    let text = |id: &str, secret: bool| json!({ "id": id, "title": id, "type": "string", "secret": secret, "summary": "One." });
    let manifest = json!({
        "manifest": 1, "id": "lab", "title": "Lab", "version": "1.0.0", "summary": "One.",
        "connection": [
            text("tenant_id", false), text("client_id", false), text("client_secret", true),
            { "id": "trust_any_certificate", "title": "Trust any certificate", "type": "boolean", "summary": "One." } ],
        "commands": [{ "id": "test", "title": "Test", "kind": "test", "operation": "connection.test",
            "summary": "One.", "outputs": { "context": "$" } }]
    });
    std::fs::write(folder.join("manifests/lab.json"), manifest.to_string()).expect("a file");
}

async fn run(host: &Host, trusts: bool) -> ResultEnvelope {
    let request = json!({ "command": "test", "connection": {
        "tenant_id": "11111111-2222-3333-4444-555555555555",
        "client_id": "66666666-7777-8888-9999-000000000000",
        "client_secret": CANARY, "Trust any certificate": trusts } });
    let checked = host.check(request.to_string().as_bytes());
    let checked = checked.expect("nothing to refuse");
    Box::pin(host.run(checked, &Cancel::default())).await.result
}

#[test]
fn any_certificate_is_trusted_on_request_alone_and_told() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let now = when::instant(NOW, &[]).expect("a time");
        let mut world = World::from_json("{}").expect("a world");
        world.now = Some(now);
        let sim = Sim::start(world, Listen::default())
            .await
            .expect("it starts");
        let folder = tempfile::tempdir().expect("a folder");
        catalog(folder.path());
        // Without the authority that the simulator prints beside its addresses.
        let mut endpoints: Value =
            serde_json::from_str(&sim.endpoints().to_string()).expect("JSON");
        let authority = endpoints.as_object_mut().expect("an object").remove("ca");
        assert!(authority.is_some_and(|ca| ca.is_string()));
        let settings = Settings {
            endpoints: Some(endpoints.to_string()),
            catalog: Some(folder.path().to_path_buf()),
            clock: Clock::Fixed(now),
            pace: Pace {
                attempts: 1,
                ..Pace::hurried()
            },
            ..Settings::default()
        };
        // One process: each way to trust has a client of its own.
        let host = Host::open(settings, Redactor::default());
        let refused = run(&host, false).await;
        let error = refused.error.expect("not trusted");
        assert!(
            error.message.contains("TLS handshake failed"),
            "{}",
            error.message
        );
        assert!(refused.warnings.is_empty());
        let trusted = run(&host, true).await;
        assert!(trusted.error.is_none(), "{:?}", trusted.error);
        let codes: Vec<&str> = trusted
            .warnings
            .iter()
            .map(|told| told.code.as_str())
            .collect();
        assert_eq!(codes, ["any_certificate_trusted"]);
    });
}
