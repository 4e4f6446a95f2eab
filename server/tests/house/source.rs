//! Just enough Rust to tell which paths a file mentions: comments and literals are taken away, `use` trees
//! flattened, `crate`, `self`, `super` and imported names resolved. Macros are read like any other tokens.

use std::collections::HashMap;

/// A Rust file, read.
pub(crate) struct Source {
    /// Every path, resolved as far as the file itself tells, with its line.
    pub(crate) paths: Vec<(usize, String)>,
    /// Every word and punctuation mark with its line.
    pub(crate) tokens: Vec<(usize, String)>,
    /// What imported names stand for.
    pub(crate) names: HashMap<String, String>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self::of_tokens(path, tokens(&without_literals(text)))
    }

    /// The same without the modules that are only there for tests; and the names of those that are files.
    pub(crate) fn shipped(path: &str, text: &str) -> (Self, Vec<String>) {
        let (tokens, test_files) = without_tests(tokens(&without_literals(text)));
        (Self::of_tokens(path, tokens), test_files)
    }

    fn of_tokens(path: &str, tokens: Vec<(usize, String)>) -> Self {
        let mut reader = Reader {
            tokens: &tokens,
            at: 0,
            module: module_of(path),
            names: HashMap::new(),
            paths: Vec::new(),
        };
        reader.read();
        let Reader {
            names, mut paths, ..
        } = reader;
        for (_, path) in &mut paths {
            let (first, rest) = path
                .split_once("::")
                .map_or((path.as_str(), None), |(first, rest)| (first, Some(rest)));
            if let (Some(full), Some(rest)) = (names.get(first), rest) {
                *path = format!("{full}::{rest}");
            }
        }
        Self {
            paths,
            tokens,
            names,
        }
    }
}

/// The tokens without `#[cfg(test)] mod … { … }`, and the names of `#[cfg(test)] mod …;`.
fn without_tests(tokens: Vec<(usize, String)>) -> (Vec<(usize, String)>, Vec<String>) {
    let words: Vec<&str> = tokens.iter().map(|(_, token)| token.as_str()).collect();
    let (mut kept, mut files, mut at) = (Vec::new(), Vec::new(), 0);
    while at < words.len() {
        if !words[at..].starts_with(&["#", "[", "cfg", "(", "test", ")", "]"]) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += 7;
        // What is for tests and no module is left as it is: a `use`, or a function beside its type.
        let head = words[at..].iter().take(6).position(|word| *word == "mod");
        let Some(name) = head.map(|ahead| at + ahead + 1) else {
            continue;
        };
        let Some(&body) = words.get(name + 1).filter(|word| ["{", ";"].contains(word)) else {
            continue;
        };
        at = if body == "{" {
            end_of_block(&words, name + 1)
        } else {
            files.push(words[name].to_owned());
            name + 2
        };
    }
    (kept, files)
}

/// Just behind the block that begins here.
pub(crate) fn end_of_block(words: &[&str], begin: usize) -> usize {
    let mut depth = 0;
    for (at, word) in words.iter().enumerate().skip(begin) {
        match *word {
            "{" => depth += 1,
            "}" if depth == 1 => return at + 1,
            "}" => depth -= 1,
            _ => {}
        }
    }
    words.len()
}

/// The module that a file is: `server/src/shard/flush.rs` is `crate::shard::flush`.
pub(crate) fn module_of(path: &str) -> Vec<String> {
    let inside = path.split_once("/src/").map_or(path, |(_, inside)| inside);
    let mut parts: Vec<String> = inside
        .trim_end_matches(".rs")
        .split('/')
        .map(str::to_owned)
        .collect();
    if matches!(
        parts.last().map(String::as_str),
        Some("mod" | "lib" | "main")
    ) {
        parts.pop();
    }
    parts.insert(0, "crate".to_owned());
    parts
}

struct Reader<'a> {
    tokens: &'a [(usize, String)],
    at: usize,
    module: Vec<String>,
    names: HashMap<String, String>,
    paths: Vec<(usize, String)>,
}

impl Reader<'_> {
    fn read(&mut self) {
        // How deep the braces are, and where the modules written inside this file end.
        let (mut depth, mut inline) = (0, Vec::new());
        while self.at < self.tokens.len() {
            match [self.peek(), self.peek_at(1), self.peek_at(2)] {
                ["mod", name, "{"] => {
                    let name = name.to_owned();
                    self.module.push(name);
                    inline.push(depth);
                    self.at += 2;
                    continue;
                }
                ["{", ..] => depth += 1,
                ["}", ..] => {
                    depth -= 1;
                    if inline.last() == Some(&depth) {
                        inline.pop();
                        self.module.pop();
                    }
                }
                _ => {}
            }
            let importing = self.peek() == "use";
            if importing {
                self.at += 1;
            }
            // A path may begin with `::`, which says that a crate's name follows.
            if self.peek() == "::" {
                self.at += 1;
            }
            if is_word(self.peek()) {
                self.path(&[], importing);
            } else if importing && self.peek() == "{" {
                self.group(&[]);
            } else {
                self.at += 1;
            }
        }
    }

    fn peek(&self) -> &str {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> &str {
        self.tokens
            .get(self.at + ahead)
            .map_or("", |(_, token)| token)
    }

    /// Reads `a::b::c`, with groups when imported, and what it is called here.
    fn path(&mut self, prefix: &[String], importing: bool) {
        let line = self.tokens[self.at].0;
        let mut segments = prefix.to_vec();
        loop {
            let token = self.peek().to_owned();
            self.at += 1;
            segments.push(token);
            if self.peek() != "::" {
                break;
            }
            self.at += 1;
            if self.peek() == "{" && importing {
                self.group(&segments);
                return;
            }
            if !is_word(self.peek()) && self.peek() != "*" {
                // A turbofish: what is in it is read on its own.
                break;
            }
        }
        if importing && segments.last().is_some_and(|last| last == "self") && segments.len() > 1 {
            segments.pop();
        }
        let full = self.resolve(&segments);
        if importing {
            let mut name = segments.last().cloned().unwrap_or_default();
            if self.peek() == "as" {
                self.at += 1;
                self.peek().clone_into(&mut name);
                self.at += 1;
            }
            self.names.insert(name, full.clone());
        }
        self.paths.push((line, full));
    }

    fn group(&mut self, prefix: &[String]) {
        self.at += 1;
        while !matches!(self.peek(), "}" | "") {
            match self.peek() {
                "::" | "," => self.at += 1,
                "{" => self.group(prefix),
                _ => self.path(prefix, true),
            }
        }
        self.at += 1;
    }

    fn resolve(&self, segments: &[String]) -> String {
        let supers = segments
            .iter()
            .take_while(|segment| *segment == "super")
            .count();
        let own = segments.first().is_some_and(|first| first == "self") && segments.len() > 1;
        let above = &self.module[..self.module.len().saturating_sub(supers).max(1)];
        let rest = &segments[supers.max(usize::from(own))..];
        if supers > 0 || own {
            [above, rest].concat().join("::")
        } else {
            segments.join("::")
        }
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn tokens(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let len = if first.is_alphanumeric() || first == '_' {
                rest.find(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            found.push((at + 1, rest[..len].to_owned()));
            rest = rest[len..].trim_start();
        }
    }
    found
}

/// The text with comments and the inside of literals blanked out, line for line.
fn without_literals(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = comment(rest)
            .or_else(|| raw_string(rest, &out))
            .or_else(|| quoted(rest));
        let len = skipped.unwrap_or(first.len_utf8());
        if skipped.is_some() {
            out.push(' ');
            out.extend(rest[..len].chars().filter(|c| *c == '\n'));
        } else {
            out.push(first);
        }
        rest = &rest[len..];
    }
    out
}

fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let here = &text.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    Some(at)
}

/// `r"…"`, `r#"…"#`, `br#"…"#`, unless the letter ends a longer word.
fn raw_string(text: &str, before: &str) -> Option<usize> {
    if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let inside = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let close = inside.find(&end)?;
    Some(text.len() - inside.len() + close + end.len())
}

/// `"…"` and `'c'`; a lifetime is not quoted.
fn quoted(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    if quote == '\'' {
        let mut chars = text[1..].chars();
        let (first, second) = (chars.next()?, chars.next()?);
        if first != '\\' && second != '\'' {
            return None;
        }
    }
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if !escaped && c == quote {
            return Some(at + 1);
        }
        escaped = !escaped && c == '\\';
    }
    None
}

#[cfg(test)]
mod tests {
    use super::Source;

    fn paths(text: &str) -> Vec<String> {
        let source = Source::new("server/src/shard/flush.rs", text);
        source
            .paths
            .into_iter()
            .map(|(_, path)| path)
            .filter(|path| path.contains("::"))
            .collect()
    }

    #[test]
    fn trees_are_flattened_and_names_resolved() {
        assert_eq!(
            paths("use std::{io, time::{Duration, Instant as Now}};"),
            ["std::io", "std::time::Duration", "std::time::Instant"]
        );
        assert_eq!(
            paths("use std::time::Instant as Now; fn f() { Now::now(); }")[1],
            "std::time::Instant::now"
        );
        assert_eq!(
            paths("use std::time::{self}; fn f() { time::Instant::now(); }")[1],
            "std::time::Instant::now"
        );
        assert_eq!(
            paths("use std::thread; fn f() { thread::spawn(g::<u8>); }")[1],
            "std::thread::spawn"
        );
        assert_eq!(paths("use mio::*;"), ["mio::*"]);
        assert_eq!(paths("use ::mio::net::TcpStream;"), ["mio::net::TcpStream"]);
        assert_eq!(paths("pub(crate) use {a::b, c::d};"), ["a::b", "c::d"]);
    }

    #[test]
    fn relative_paths_are_those_of_the_file() {
        assert_eq!(paths("use super::Shard;"), ["crate::shard::Shard"]);
        assert_eq!(
            paths("use super::super::room::Room;"),
            ["crate::room::Room"]
        );
        assert_eq!(
            paths("use self::inner::X;"),
            ["crate::shard::flush::inner::X"]
        );
        assert_eq!(
            paths("fn f(x: crate::room::Room) {}"),
            ["crate::room::Room"]
        );
    }

    #[test]
    fn comments_and_literals_mention_nothing() {
        let text = "// std::net\n/* std::io /* nested */ mio::Poll */ \"std::fs \\\" a::b\" '\"' r#\"x::y\"# br\"z::w\" b'\"'";
        assert_eq!(paths(text), [""; 0]);
        assert_eq!(paths("fn f<'a>(x: &'a str) -> a::B { 'c'; }"), ["a::B"]);
    }

    #[test]
    fn lines_are_counted_through_literals() {
        let source = Source::new("x.rs", "let a = \"\n\n\"; /* \n */\nuse mio::Poll;");
        assert_eq!(
            source
                .paths
                .last()
                .map(|(line, path)| (*line, path.as_str())),
            Some((5, "mio::Poll"))
        );
    }
}
