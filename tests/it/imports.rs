//! Which file imports which: modules import lower ranks only, and no two files import each other.
//!
//! Reads `use` lists and inline paths with `syn`, and follows re-exports to the file that defines a
//! name. Inline tests and test files are left out.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};

use crate::architecture::{Source, assert_none, sources};

/// Ranks from low to high; a module imports lower ranks only.
const RANKS: [&[&str]; 7] = [
    &["json", "protocol", "clock", "when", "names"],
    &["net", "manifest", "mapping", "rules"],
    &["identity"],
    &["microsoft"],
    &["ops", "output"],
    &["host"],
    &["front"],
];
/// The engine does not know how results are presented, and presentation does not know where data
/// comes from. Both meet in `host`.
const ENGINE: [&str; 4] = ["net", "identity", "microsoft", "ops"];
const PRESENTATION: [&str; 4] = ["manifest", "mapping", "rules", "output"];
/// Modules that import no other module.
const ALONE: [&str; 2] = ["sim", "json"];
/// The files that start the simulator.
const STARTS_SIMULATOR: [&str; 2] = ["src/front/cli/simulate.rs", "src/front/cli/sandbox.rs"];

type Path = Vec<String>;

/// The paths that one file names, from the root of the crate or relative to its module.
#[derive(Default)]
struct Paths {
    /// `use` lists: each name that they bring into scope, with its path.
    uses: Vec<(String, Path)>,
    /// Paths inside code.
    inline: Vec<Path>,
}

impl Paths {
    fn of(source: &Source) -> Self {
        let mut paths = Paths::default();
        let file = syn::parse_file(&source.text);
        let file = file.unwrap_or_else(|error| panic!("{}: {error}", source.name()));
        paths.visit_file(&file);
        paths
    }

    fn flatten(&mut self, tree: &syn::UseTree, mut prefix: Path) {
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.flatten(&path.tree, prefix);
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.flatten(tree, prefix.clone());
                }
            }
            syn::UseTree::Glob(_) => self.uses.push(("*".to_owned(), prefix)),
            syn::UseTree::Name(name) if name.ident == "self" => {
                let name = prefix.last().cloned().unwrap_or_default();
                self.uses.push((name, prefix));
            }
            syn::UseTree::Name(name) => {
                prefix.push(name.ident.to_string());
                self.uses.push((name.ident.to_string(), prefix));
            }
            syn::UseTree::Rename(renamed) => {
                prefix.push(renamed.ident.to_string());
                self.uses.push((renamed.rename.to_string(), prefix));
            }
        }
    }

    /// The paths in a macro's tokens that start with `crate` or `super`.
    fn tokens(&mut self, tokens: &str) {
        let mut words = tokens.split_whitespace().peekable();
        while let Some(word) = words.next() {
            if !matches!(word, "crate" | "super") {
                continue;
            }
            let mut path = vec![word.to_owned()];
            while words.next_if_eq(&"::").is_some() {
                path.extend(words.next().map(str::to_owned));
            }
            self.inline.push(path);
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    let mut lists = attributes
        .iter()
        .filter_map(|one| one.meta.require_list().ok());
    lists.any(|list| list.path.is_ident("cfg") && list.tokens.to_string() == "test")
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.flatten(&item.tree, Path::new());
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path.segments.iter().map(|one| one.ident.to_string());
        self.inline.push(names.collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(&call.tokens.to_string());
        visit::visit_macro(self, call);
    }
}

/// One module imports another one.
struct Import<'a> {
    from: &'a Path,
    to: Path,
    /// The path in the source.
    written: String,
}

/// The modules of the crate by path, each with its file and the paths that it names.
struct Crate(BTreeMap<Path, (String, Paths)>);

impl Crate {
    fn read() -> Self {
        let modules = sources().into_iter().map(|source| {
            let file = source.name();
            let below = file.trim_start_matches("src/").trim_end_matches(".rs");
            let mut path: Path = below.split('/').map(str::to_owned).collect();
            if matches!(
                path.last().map(String::as_str),
                Some("mod" | "lib" | "main")
            ) {
                path.pop();
            }
            let paths = Paths::of(&source);
            (path, (file, paths))
        });
        Crate(modules.collect())
    }

    /// The module that defines what a path names, seen from `from`; none outside the crate.
    fn module_of(&self, from: &Path, path: &[String]) -> Option<Path> {
        let mut module = from.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" | "soarhost" => (module, rest) = (Path::new(), &rest[1..]),
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    module.pop();
                    rest = &rest[1..];
                }
            }
            // Relative to the module: one of its own modules.
            first => {
                let child = [from.as_slice(), &[first.to_owned()]].concat();
                self.0.get(&child)?;
            }
        }
        self.defining(module, rest, 0)
    }

    fn defining(&self, mut module: Path, rest: &[String], depth: usize) -> Option<Path> {
        let Some(name) = rest.first() else {
            return Some(module);
        };
        let child = [module.as_slice(), std::slice::from_ref(name)].concat();
        if self.0.contains_key(&child) {
            return self.defining(child, &rest[1..], depth);
        }
        let (_, paths) = self.0.get(&module)?;
        let imported = paths.uses.iter().find(|(known, _)| known == name);
        if let Some((_, path)) = imported
            && depth < 8
        {
            return match path.first().map(String::as_str) {
                Some("crate" | "self" | "super") => self.module_of(&module, path),
                Some(first) => {
                    module.push(first.to_owned());
                    let known = self.0.contains_key(&module);
                    known
                        .then(|| self.defining(module, &path[1..], depth + 1))
                        .flatten()
                }
                None => None,
            };
        }
        Some(module)
    }

    fn imports(&self) -> Vec<Import<'_>> {
        let mut imports = Vec::new();
        for (from, (_, paths)) in &self.0 {
            let used = paths.uses.iter().map(|(_, path)| path);
            for path in used.chain(&paths.inline) {
                let to = self.module_of(from, path);
                if let Some(to) = to.filter(|to| to != from) {
                    let written = path.join("::");
                    imports.push(Import { from, to, written });
                }
            }
        }
        imports
    }

    fn file(&self, module: &Path) -> &str {
        self.0.get(module).map_or("src/lib.rs", |(file, _)| file)
    }
}

fn rank(module: &str) -> Option<usize> {
    RANKS.iter().position(|modules| modules.contains(&module))
}

/// Why a file of the module `own` must not import the module `other`.
fn refusal(own: &str, other: &str, file: &str) -> Option<String> {
    if own == other {
        return None;
    }
    if ALONE.contains(&own) {
        return Some(format!("{own} imports no other module"));
    }
    if other == "sim" {
        return (!STARTS_SIMULATOR.contains(&file)).then(|| {
            format!(
                "only {} start the simulator",
                STARTS_SIMULATOR.join(" and ")
            )
        });
    }
    let crosses = |from: &[&str], to: &[&str]| from.contains(&own) && to.contains(&other);
    if crosses(&ENGINE, &PRESENTATION) || crosses(&PRESENTATION, &ENGINE) {
        return Some(format!("{own} and {other} meet in host alone"));
    }
    match (rank(own), rank(other)) {
        (Some(mine), Some(theirs)) if theirs < mine || (mine, theirs) == (0, 0) => None,
        (Some(_), Some(_)) => Some(format!("{own} must not import {other}")),
        _ => Some(format!("{own} or {other} has no rank")),
    }
}

#[test]
fn import_of_a_higher_rank_is_reported() {
    let all = Crate::read();
    let imports = all.imports();
    assert!(imports.len() > 500, "only {} imports found", imports.len());
    let mut faults = BTreeSet::new();
    for Import { from, to, written } in &imports {
        let (Some(own), Some(other)) = (from.first(), to.first()) else {
            continue;
        };
        let file = all.file(from);
        if let Some(why) = refusal(own, other, file) {
            faults.insert(format!("{file}: {why}: {written}"));
        }
    }
    assert_none(faults);
}

/// The modules that can be reached from a module by following imports.
fn reachable(start: &Path, next: &BTreeMap<&Path, BTreeSet<Path>>) -> BTreeSet<Path> {
    let mut found = BTreeSet::new();
    let mut open = vec![start];
    while let Some(module) = open.pop() {
        for to in next.get(module).into_iter().flatten() {
            if found.insert(to.clone()) {
                open.push(to);
            }
        }
    }
    found
}

#[test]
fn files_that_import_each_other_are_reported() {
    let all = Crate::read();
    let mut next: BTreeMap<&Path, BTreeSet<Path>> = BTreeMap::new();
    for Import { from, to, .. } in all.imports() {
        // The files of a module can use what the module's own file defines.
        if !from.starts_with(&to) {
            next.entry(from).or_default().insert(to);
        }
    }
    let modules = all.0.keys();
    let reached: BTreeMap<&Path, BTreeSet<Path>> = modules
        .map(|module| (module, reachable(module, &next)))
        .collect();
    let mut circles = BTreeSet::new();
    for (module, found) in &reached {
        let circle = found.iter().filter(|other| {
            reached
                .get(other)
                .is_some_and(|back| back.contains(*module))
        });
        let files: BTreeSet<&str> = circle.map(|module| all.file(module)).collect();
        if !files.is_empty() {
            circles.insert(files.into_iter().collect::<Vec<_>>().join(" "));
        }
    }
    assert_none(
        circles
            .iter()
            .map(|circle| format!("these files import each other: {circle}")),
    );
}
