//! How much one struct may hold.

use crate::source::{Source, end_of_block};
use crate::tree::File;

/// Where more fields than the bound are several things under one name. A thread of loadgen had once 48.
const SCOPE: &str = "loadgen/src/engine/";
const FIELDS_MAX: usize = 20;

/// Structs of more fields than that.
pub(crate) fn structs(file: &File, source: &Source) -> Vec<String> {
    if !file.path.starts_with(SCOPE) {
        return Vec::new();
    }
    let tokens = source.tokens.iter();
    let words: Vec<&str> = tokens.map(|(_, token)| token.as_str()).collect();
    let mut findings = Vec::new();
    for at in (0..words.len()).filter(|at| words[*at] == "struct") {
        // A unit or a tuple ends before any block does.
        let body = words[at..].iter().position(|w| ["{", ";"].contains(w));
        let Some(body) = body.map(|ahead| at + ahead).filter(|at| words[*at] == "{") else {
            continue;
        };
        let fields = fields(&words[body..end_of_block(&words, body)]);
        if fields > FIELDS_MAX {
            let (line, name) = (source.tokens[at].0, words[at + 1]);
            findings.push(format!(
                "{}:{line}: {name} has {fields} fields, of {FIELDS_MAX}",
                file.path
            ));
        }
    }
    findings
}

/// Colons of the block itself, not of what is in brackets within it.
fn fields(block: &[&str]) -> usize {
    let (mut depth, mut fields) = (0, 0);
    for word in block {
        match *word {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            ":" if depth == 1 => fields += 1,
            _ => {}
        }
    }
    fields
}

#[test]
fn large_structs_are_found() {
    let found = |path: &str, fields: usize| {
        let fields = "    /// So: this.\n    pub(crate) f: Option<fn(a: u8) -> std::io::Error>,\n"
            .repeat(fields);
        let text = format!(
            "struct Unit;\nstruct Pair(u8, u8);\npub(crate) struct S<'a> {{\n{fields}}}\nimpl S {{ fn f(a: u8) {{}} }}\n"
        );
        let file = File {
            path: path.to_owned(),
            text: text.clone(),
        };
        structs(&file, &Source::new(path, &text)).len()
    };
    assert_eq!(found("loadgen/src/engine/x.rs", 20), 0);
    assert_eq!(found("loadgen/src/engine/worker/x.rs", 21), 1);
    assert_eq!(found("loadgen/src/scenario.rs", 21), 0);
}
