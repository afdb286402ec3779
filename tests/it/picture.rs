//! The picture of the README: where soarhost is between a platform and Microsoft's services.
//!
//! It is generated from the integrations of the catalog and the operations of their commands, and
//! compared with `docs/where-it-sits.svg`. `INSTA_UPDATE=always` writes it. It uses no font file,
//! and follows the theme of the reader.

use std::fmt::Write;
use std::path::Path;

use soarhost::host::catalog::Catalog;
use soarhost::manifest::Manifest;

/// A service of Microsoft, and the operations that call it.
const SERVICES: [(&str, &str, &str); 3] = [
    ("Microsoft Graph", "security alerts", "graph."),
    ("Management Activity API", "audit feed, 7 days", "feed."),
    ("Exchange Online or Graph", "audit search", "audit."),
];

const STYLE: &str = "\
text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:#1f2328}\
.title{font-weight:600;font-size:15px}.small{font-size:11px;fill:#57606a}\
.ground{fill:#ffffff}.box{fill:#f6f8fa;stroke:#8c959f}.host{fill:#ddf4ff;stroke:#0969da}\
.row{fill:#ffffff;stroke:#8c959f}.line{fill:none;stroke:#0969da;stroke-width:1.5}\
.dash{stroke-dasharray:5 4}.head{fill:#0969da}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.ground{fill:#0d1117}\
.box{fill:#161b22;stroke:#6e7681}.host{fill:#0d2440;stroke:#4493f8}.row{fill:#161b22;stroke:#6e7681}\
.line{stroke:#4493f8}.head{fill:#4493f8}}";

/// The services that an integration calls, by their place in [`SERVICES`].
fn services(manifest: &Manifest) -> Vec<usize> {
    let calls = |prefix: &str| {
        manifest.commands.iter().any(|command| {
            let backfills = command.inputs.iter().any(|input| input.id == "backfill");
            command.operation.starts_with(prefix) || prefix == "audit." && backfills
        })
    };
    (0..SERVICES.len())
        .filter(|n| calls(SERVICES[*n].2))
        .collect()
}

/// A rectangle of this class with a title and a line below it.
fn card(svg: &mut String, class: &str, [x, y, width, height]: [usize; 4], texts: [&str; 2]) {
    let _ = writeln!(
        svg,
        r#"<rect class="{class}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>"#
    );
    let middle = y + height / 2;
    text(svg, "", [x + 12, middle - 3], texts[0]);
    text(svg, "small", [x + 12, middle + 13], texts[1]);
}

fn text(svg: &mut String, class: &str, [x, y]: [usize; 2], text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        r#"<text class="{class}" x="{x}" y="{y}">{text}</text>"#
    );
}

fn arrow(svg: &mut String, [from_x, from_y]: [usize; 2], [to_x, to_y]: [usize; 2]) {
    let bend = from_x.abs_diff(to_x) / 2;
    let (out, back) = if from_x < to_x {
        (from_x + bend, to_x - bend)
    } else {
        (from_x - bend, to_x + bend)
    };
    let _ = writeln!(
        svg,
        r#"<path class="line" marker-end="url(#head)" d="M{from_x} {from_y}C{out} {from_y} {back} {to_y} {to_x} {to_y}"/>"#
    );
}

fn picture(catalog: &Catalog) -> String {
    let mut shown: Vec<(Vec<usize>, &Manifest)> = catalog
        .manifests()
        .expect("manifests")
        .into_iter()
        .map(|manifest| (services(manifest), manifest))
        .filter(|(services, _)| !services.is_empty())
        .collect();
    // Integrations of the same service are neighbours, so that lines do not cross.
    shown.sort_by_key(|(services, manifest)| {
        (
            services.iter().sum::<usize>() * 6 / services.len(),
            manifest.id.clone(),
        )
    });
    let inner = 64 * shown.len();
    let height = inner + 196;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1000 {height}\" role=\"img\" aria-labelledby=\"t\">\n\
         <title id=\"t\">A SOAR platform sends one request to soarhost and receives one result. soarhost signs in to \
         Microsoft 365, calls its services, and maps the records to events.</title>\n<style>{STYLE}</style>\n\
         <defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
         <path class=\"head\" d=\"M0 0L8 4L0 8z\"/></marker></defs>\n\
         <rect class=\"ground\" width=\"1000\" height=\"{height}\" rx=\"10\"/>\n"
    );
    let middle = 20 + (height - 40) / 2;
    let _ = writeln!(
        svg,
        r#"<rect class="box" x="20" y="{}" width="170" height="110" rx="8"/>"#,
        middle - 55
    );
    text(&mut svg, "title", [36, middle - 22], "Your platform");
    for (n, line) in ["SOAR playbook", "cron or systemd timer", "event pipeline"]
        .iter()
        .enumerate()
    {
        text(&mut svg, "small", [36, middle + 2 + 18 * n], line);
    }
    arrow(&mut svg, [190, middle - 22], [320, middle - 22]);
    arrow(&mut svg, [320, middle + 26], [190, middle + 26]);
    text(&mut svg, "", [205, middle - 32], "JSON request");
    text(&mut svg, "", [205, middle + 16], "JSON result");
    text(&mut svg, "small", [205, middle + 44], "events, coverage,");
    text(&mut svg, "small", [205, middle + 58], "state, exit code");
    let _ = writeln!(
        svg,
        r#"<rect class="host" x="325" y="20" width="350" height="{}" rx="8"/>"#,
        height - 40
    );
    text(&mut svg, "title", [341, 46], "soarhost");
    text(&mut svg, "small", [430, 46], "one process per command");
    let _ = writeln!(
        svg,
        r#"<rect class="box" x="745" y="20" width="235" height="{}" rx="8"/>"#,
        inner + 102
    );
    text(&mut svg, "title", [761, 46], "Microsoft 365");
    let y_of = |n: usize| 62 + 64 * n;
    let step = inner * 5 / 4 / (SERVICES.len() + 1);
    let service_y = |n: usize| 62 + step * n;
    for (n, (title, what, _)) in SERVICES.iter().enumerate() {
        card(&mut svg, "row", [761, service_y(n), 203, 50], [title, what]);
    }
    for (n, (services, manifest)) in shown.iter().enumerate() {
        let y = y_of(n);
        let commands = format!("{} commands", manifest.commands.len());
        card(
            &mut svg,
            "row",
            [341, y, 318, 50],
            [&manifest.title, &commands],
        );
        for service in services {
            arrow(&mut svg, [659, y + 25], [759, service_y(*service) + 25]);
        }
    }
    let below = y_of(shown.len());
    card(
        &mut svg,
        "row",
        [341, below, 318, 50],
        ["Connection", "secrets by reference, tokens encrypted"],
    );
    card(
        &mut svg,
        "row",
        [761, below, 203, 50],
        ["Microsoft Entra ID", "sign-in, permissions"],
    );
    arrow(&mut svg, [659, below + 25], [759, below + 25]);
    text(
        &mut svg,
        "",
        [341, below + 76],
        "Mappings: records become your event fields",
    );
    text(
        &mut svg,
        "",
        [341, below + 96],
        "Coverage: each gap is named",
    );
    let _ = writeln!(
        svg,
        r#"<rect class="box dash" x="745" y="{}" width="235" height="48" rx="8"/>"#,
        height - 68
    );
    text(
        &mut svg,
        "",
        [761, height - 48],
        "or the built-in simulator",
    );
    text(
        &mut svg,
        "small",
        [761, height - 32],
        "no account, no network",
    );
    svg.push_str("</svg>\n");
    svg
}

#[test]
fn picture_of_the_readme_shows_the_integrations() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/where-it-sits.svg");
    let drawn = picture(&Catalog::builtin().expect("the catalog"));
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&file, &drawn).expect("a file");
    }
    let found = std::fs::read_to_string(&file).expect("the picture");
    assert_eq!(found, drawn, "write it with INSTA_UPDATE=always");
    assert!(!drawn.contains("chaos"), "only integrations of services");
}
