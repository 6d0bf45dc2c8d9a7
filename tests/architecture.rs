//! The imports of `src` against the table of allowed arrows in ARCHITECTURE.md.
//!
//! `cargo test --test architecture -- --nocapture` prints the import graph.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules that may import each other: one Tower middleware in three files.
const MIDDLEWARE: [&str; 3] = ["future", "layer", "service"];

/// Imports by module: the imported module, and the files that import it.
type Graph = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns every Rust file below `folder`, in order.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Returns the code of a file without comments, string contents and unit tests.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" || line.trim().starts_with("#[cfg(all(test") {
            skip_item(&mut lines);
            continue;
        }
        code.push_str(&without_comment(line));
        code.push('\n');
    }
    code
}

/// Skips the item after an attribute: up to the line that closes its braces, or to its semicolon.
fn skip_item<'a>(lines: &mut impl Iterator<Item = &'a str>) {
    let mut depth = 0_i32;
    for line in lines {
        let line = without_comment(line);
        let opened = line.matches('{').count();
        let closed = line.matches('}').count();
        depth += i32::try_from(opened).unwrap() - i32::try_from(closed).unwrap();
        if depth == 0 && (closed > 0 || line.trim_end().ends_with(';')) {
            return;
        }
    }
}

/// Returns a line without its string literals and its comment.
fn without_comment(line: &str) -> String {
    let mut result = String::new();
    let mut chars = line.chars().peekable();
    let mut in_string = false;
    while let Some(char) = chars.next() {
        match char {
            '\\' if in_string => {
                chars.next();
            }
            // The character literal of a quotation mark opens no string.
            '\'' if !in_string && chars.peek() == Some(&'"') => {
                chars.next();
            }
            '"' => in_string = !in_string,
            '/' if !in_string && chars.peek() == Some(&'/') => break,
            _ if !in_string => result.push(char),
            _ => {}
        }
    }
    result
}

/// Returns code without attributes such as `#[cfg(...)]`.
fn without_attributes(code: &str) -> String {
    let mut parts = code.split('#');
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut depth = 0;
        let end = part.find(|char| {
            depth += i32::from(char == '[') - i32::from(char == ']');
            char == ']' && depth == 0
        });
        result.push_str(end.map_or(part, |end| &part[end + 1..]));
    }
    result
}

/// Splits a `use` tree into its paths: `a::{b, c::{d, e}}` has `a::b`, `a::c::d` and `a::c::e`.
fn paths(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        return vec![tree.to_owned()];
    };
    let (prefix, rest) = tree.split_at(open);
    let inner = &rest[1..rest.rfind('}').unwrap_or(rest.len())];
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, char) in inner.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    let parts = parts.into_iter().filter(|part| !part.trim().is_empty());
    parts
        .flat_map(paths)
        .map(|path| format!("{prefix}{path}"))
        .collect()
}

/// Returns the path of the module that a file contains: `["jwt", "validator"]` for `jwt/validator.rs`.
fn module_of(file: &Path) -> Vec<String> {
    let mut module: Vec<String> = file
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    if module.last().is_some_and(|name| name == "mod") {
        module.pop();
    }
    module
}

/// Returns the top-level module to which a path in `module` leads. `None` outside this crate.
fn target(module: &[String], path: &str) -> Option<String> {
    let mut base: Vec<String> = match path.split("::").next()? {
        "crate" => Vec::new(),
        "super" | "self" => module.to_vec(),
        _ => return None,
    };
    for part in path.split("::") {
        let part = part.split_whitespace().next().unwrap_or_default();
        match part {
            "crate" | "self" => {}
            "super" => {
                base.pop();
            }
            part => base.push(part.to_owned()),
        }
    }
    base.into_iter().next()
}

/// Returns the paths that a file uses, both in `use` items and in expressions and types.
fn used_paths(code: &str) -> Vec<String> {
    let mut used = Vec::new();
    for item in code.split(';') {
        let start = item.rfind("\nuse ").map(|at| at + 5);
        let start = start.or_else(|| item.rfind(" use ").map(|at| at + 5));
        if let Some(start) = start {
            used.extend(paths(&item[start..]));
        }
    }
    for keyword in ["crate::", "super::"] {
        for (at, _) in code.match_indices(keyword) {
            let before = &code[..at];
            // `pub(in crate::...)` grants visibility, and `use` items are read above.
            let inside = |char: char| char.is_alphanumeric() || char == '_' || char == ':';
            if before.ends_with(inside) || before.ends_with("use ") || before.ends_with("in ") {
                continue;
            }
            let path = &code[at..];
            let end = path.find(|char| !inside(char)).unwrap_or(path.len());
            used.push(path[..end].trim_end_matches(':').to_owned());
        }
    }
    used
}

/// Returns the imports between the top-level modules of `src`. The root of the crate, `lib.rs`, re-exports from all of them.
fn imports() -> Graph {
    let src = root().join("src");
    let files = rust_files(&src);
    let module_names: BTreeSet<String> = files
        .iter()
        .filter_map(|file| {
            module_of(file.strip_prefix(&src).unwrap())
                .into_iter()
                .next()
        })
        .collect();
    let mut graph = Graph::new();
    for file in files {
        let name = file.strip_prefix(&src).unwrap();
        let module = module_of(name);
        if module == ["lib"] || module.last().is_some_and(|last| last == "tests") {
            continue;
        }
        let arrows = graph.entry(module[0].clone()).or_default();
        for path in used_paths(&code(&fs::read_to_string(&file).unwrap())) {
            let Some(target) = target(&module, &path) else {
                continue;
            };
            if target == module[0] || target == "lib" {
                continue;
            }
            assert!(
                module_names.contains(&target),
                "src/{} uses `{path}`, a re-export at the root of the crate: import it from its own module",
                name.display()
            );
            let files = arrows.entry(target).or_default();
            files.insert(format!("src/{}", name.display()));
        }
    }
    graph
}

/// Reads the table of ARCHITECTURE.md: a module and the modules it may import, both in backticks.
fn allowed() -> Vec<(String, BTreeSet<String>)> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let table = text
        .split_once("| module | may import |")
        .expect("ARCHITECTURE.md has the table `| module | may import |`")
        .1;
    let quoted = |cell: &str| -> Vec<String> {
        let quoted = cell.split('`').skip(1).step_by(2);
        quoted.map(str::to_owned).collect()
    };
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut allowed = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').collect();
        for module in quoted(cells[1]) {
            allowed.push((module, quoted(cells[2]).into_iter().collect()));
        }
    }
    assert!(allowed.len() > 20, "the table has a row for each module");
    allowed
}

/// Returns a cycle of the graph that is not within the middleware.
fn cycle(graph: &Graph) -> Option<Vec<String>> {
    fn visit(graph: &Graph, at: &str, path: &mut Vec<String>, done: &mut BTreeSet<String>) -> bool {
        if done.contains(at) {
            return false;
        }
        if let Some(start) = path.iter().position(|module| module == at) {
            path.drain(..start);
            return true;
        }
        path.push(at.to_owned());
        for target in graph.get(at).into_iter().flat_map(BTreeMap::keys) {
            let pair = [at, target.as_str()];
            let in_middleware = pair.iter().all(|module| MIDDLEWARE.contains(module));
            if !in_middleware && visit(graph, target, path, done) {
                return true;
            }
        }
        path.pop();
        done.insert(at.to_owned());
        false
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|module| {
        let mut path = Vec::new();
        visit(graph, module, &mut path, &mut done).then_some(path)
    })
}

#[test]
fn every_import_is_an_arrow_of_the_architecture() {
    let graph = imports();
    let allowed: BTreeMap<_, _> = allowed().into_iter().collect();
    let mut faults = Vec::new();
    for (module, arrows) in &graph {
        let Some(allowed) = allowed.get(module) else {
            faults.push(format!(
                "`{module}` has no row in ARCHITECTURE.md: add one below the modules that it imports"
            ));
            continue;
        };
        for (target, files) in arrows {
            if !allowed.contains(target) {
                let files: Vec<_> = files.iter().map(String::as_str).collect();
                faults.push(format!(
                    "`{module}` must not import `{target}` ({}): move the shared code to a module below \
                     both, or add what is needed from above through a trait (as `ValidatorExt` does). If \
                     `{target}` is below `{module}`, add it to the row of `{module}` in ARCHITECTURE.md",
                    files.join(", ")
                ));
            }
        }
        for target in allowed {
            if !arrows.contains_key(target) {
                faults.push(format!(
                    "`{module}` no longer imports `{target}`: remove it from the row of `{module}` in ARCHITECTURE.md"
                ));
            }
        }
    }
    for module in allowed.keys() {
        if !graph.contains_key(module) {
            faults.push(format!(
                "`{module}` does not exist: remove its row from ARCHITECTURE.md"
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn import_graph_has_no_cycle() {
    let graph = imports();
    for (module, arrows) in &graph {
        let targets: Vec<_> = arrows.keys().map(String::as_str).collect();
        println!("{module} -> {}", targets.join(", "));
    }
    let cycle = cycle(&graph).map(|modules| modules.join(" -> "));
    assert_eq!(cycle, None, "only {MIDDLEWARE:?} may import each other");
}

#[test]
fn rows_are_ordered_from_bottom_to_top() {
    let mut seen = BTreeSet::new();
    for (module, allowed) in allowed() {
        seen.insert(module.clone());
        for target in allowed {
            let in_middleware = [module.as_str(), target.as_str()]
                .iter()
                .all(|module| MIDDLEWARE.contains(module));
            assert!(
                in_middleware || seen.contains(&target),
                "the row of `{target}` belongs above the row of `{module}` in ARCHITECTURE.md"
            );
        }
    }
}

#[test]
fn module_roots_contain_only_docs_modules_and_exports() {
    for file in rust_files(&root().join("src")) {
        if file.file_name().is_none_or(|name| name != "mod.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for item in without_attributes(&code(&text)).split_inclusive(';') {
            let item = item
                .trim()
                .trim_start_matches("pub(crate) ")
                .trim_start_matches("pub ");
            assert!(
                item.is_empty() || item.starts_with("mod ") || item.starts_with("use "),
                "{}: move `{item}` to a file of its own",
                file.display()
            );
        }
    }
}

#[test]
fn every_file_and_folder_named_in_the_documentation_exists() {
    let mut documents = vec![root().join("ARCHITECTURE.md")];
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        documents.push(entry.unwrap().path());
    }
    let mut named = 0;
    for document in documents {
        if document
            .extension()
            .is_none_or(|extension| extension != "md")
        {
            continue;
        }
        let text = fs::read_to_string(&document).unwrap();
        for quoted in text.split('`').skip(1).step_by(2) {
            let is_ours = [
                "src/",
                "tests/",
                "docs/",
                "examples/",
                "benches/",
                "crates/",
            ]
            .iter()
            .any(|folder| quoted.starts_with(folder));
            if !is_ours || quoted.contains([' ', '{', '*', ':', '<']) {
                continue;
            }
            named += 1;
            let path = root().join(quoted);
            let exists = path.exists() || path.with_extension("rs").exists();
            assert!(exists, "{}: `{quoted}` does not exist", document.display());
        }
    }
    assert!(named > 40, "{named}");
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "
        //! use crate::comment::A;
        use super::{sibling, super::above::B};
        use crate::{first::C, second::{D, E as F}};
        pub(crate) use crate::third::G;
        pub(in crate::hidden) struct S(crate::fourth::H);
        const TEXT: &str = \"crate::text::I\"; // crate::comment::J
        #[cfg(test)]
        mod tests {
            use crate::test::K;
        }
        fn f() -> super::super::fifth::L { crate::sixth::m() }
    ";
    let module = ["area".to_owned(), "file".to_owned()];
    let found: BTreeSet<_> = used_paths(&code(text))
        .iter()
        .filter_map(|path| target(&module, path))
        .collect();
    let expected = [
        "above", "area", "fifth", "first", "fourth", "second", "sixth", "third",
    ];
    assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
}
