//! Properties of a room or of one player: names with values that are told to everybody.
//!
//! Owns: values, the version of each, and their bounds. Must not know: whose they are, or who may write them. Invariant: a
//! change is made as a whole or not at all; the version of a key grows with each change and is never given twice.

use roomcast_protocol::v1::{Change, Changed, Guard, List, Name, Payload};

/// One property. Its value is text if it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Property {
    key: Box<str>,
    version: u64,
    value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Bytes(Box<[u8]>),
    Text(Box<str>),
}

impl Value {
    fn new(payload: Payload<'_>) -> Self {
        match payload {
            Payload::Bytes(bytes) => Self::Bytes(bytes.into()),
            Payload::Text(text) => Self::Text(text.into()),
        }
    }

    fn payload(&self) -> Payload<'_> {
        match self {
            Self::Bytes(bytes) => Payload::Bytes(bytes),
            Self::Text(text) => Payload::Text(text),
        }
    }
}

/// How much one owner may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Properties.
    pub count: usize,
    /// Bytes of keys and values.
    pub bytes: usize,
}

/// Why nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unchanged {
    /// A key is not as its guard wants it.
    Guard,
    /// It would be too much.
    Limit,
}

/// What one owner has, in the order in which the keys were first set; a word for who has none.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Properties(Option<Box<Owned>>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Owned {
    all: Vec<Property>,
    /// Bytes of all keys and values.
    bytes: usize,
    /// The version of what was changed last.
    version: u64,
}

impl Properties {
    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |owned| owned.bytes)
    }

    /// The version of what was changed last; 0 if there are none.
    pub fn version(&self) -> u64 {
        self.0.as_ref().map_or(0, |owned| owned.version)
    }

    /// Makes all changes, which then have this version, or none.
    pub fn change(
        &mut self,
        changes: List<'_, Change<'_>>,
        version: u64,
        bounds: Bounds,
    ) -> Result<(), Unchanged> {
        let owned = self.0.get_or_insert_default();
        let changed = owned.change(changes, version, bounds);
        if owned.all.is_empty() {
            self.0 = None;
        }
        changed
    }

    /// All of them, with their versions.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Changed<'_>> + Clone {
        let all = self.0.as_ref().map_or(&[][..], |owned| &owned.all);
        all.iter().map(|property| Changed {
            // Only a name can have become a key.
            key: Name::new(&property.key).unwrap_or(Name::NONE),
            version: property.version,
            value: Some(property.value.payload()),
        })
    }
}

impl Owned {
    fn change(
        &mut self,
        changes: List<'_, Change<'_>>,
        version: u64,
        bounds: Bounds,
    ) -> Result<(), Unchanged> {
        let (mut count, mut bytes) = (self.all.len(), self.bytes);
        for change in changes {
            let now = self.find(change.key).map(|index| &self.all[index]);
            let holds = match change.guard {
                Guard::Any => true,
                Guard::Unset => now.is_none(),
                Guard::Version(version) => now.is_some_and(|now| now.version == version),
            };
            if !holds {
                return Err(Unchanged::Guard);
            }
            count -= usize::from(now.is_some());
            bytes -= now.map_or(0, |now| now.key.len() + now.value.payload().bytes().len());
            count += usize::from(change.value.is_some());
            bytes += change
                .value
                .map_or(0, |value| change.key.as_str().len() + value.bytes().len());
        }
        // Who has more than it may, because the bounds have become smaller, may still take away.
        if count > bounds.count.max(self.all.len()) || bytes > bounds.bytes.max(self.bytes) {
            return Err(Unchanged::Limit);
        }
        for change in changes {
            let index = self.find(change.key);
            match (index, change.value.map(Value::new)) {
                (Some(index), Some(value)) => {
                    self.all[index].value = value;
                    self.all[index].version = version;
                }
                (Some(index), None) => {
                    self.all.remove(index);
                }
                (None, Some(value)) => self.all.push(Property {
                    key: change.key.as_str().into(),
                    version,
                    value,
                }),
                (None, None) => {}
            }
        }
        self.bytes = bytes;
        self.version = version;
        Ok(())
    }

    fn find(&self, key: Name<'_>) -> Option<usize> {
        self.all
            .iter()
            .position(|property| *property.key == *key.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const WIDE: Bounds = Bounds {
        count: 64,
        bytes: 1 << 20,
    };

    fn change(
        properties: &mut Properties,
        changes: &[(&str, Guard, Option<&str>)],
        version: u64,
        bounds: Bounds,
    ) -> Result<(), Unchanged> {
        let mut buffer = Vec::new();
        let changes = changes.iter().map(|(key, guard, value)| Change {
            key: Name::new(key).unwrap(),
            guard: *guard,
            value: value.map(Payload::Text),
        });
        properties.change(List::encode(changes, &mut buffer).unwrap(), version, bounds)
    }

    fn now(properties: &Properties) -> BTreeMap<String, (u64, Vec<u8>)> {
        let all = properties.iter().map(|property| {
            let value = property.value.unwrap().bytes().to_vec();
            (property.key.as_str().to_owned(), (property.version, value))
        });
        all.collect()
    }

    #[test]
    fn one_guard_that_does_not_hold_stops_all() {
        let mut properties = Properties::default();
        let set = [("map", Guard::Unset, Some("desert"))];
        assert_eq!(change(&mut properties, &set, 3, WIDE), Ok(()));
        assert_eq!(
            change(&mut properties, &set, 4, WIDE),
            Err(Unchanged::Guard)
        );
        let both = |guard| {
            [
                ("round", Guard::Any, Some("1")),
                ("map", guard, Some("marsh")),
            ]
        };
        let stale = both(Guard::Version(2));
        assert_eq!(
            change(&mut properties, &stale, 5, WIDE),
            Err(Unchanged::Guard)
        );
        assert_eq!(now(&properties).len(), 1);
        let fresh = both(Guard::Version(3));
        assert_eq!(change(&mut properties, &fresh, 6, WIDE), Ok(()));
        assert_eq!(now(&properties)["map"], (6, b"marsh".to_vec()));
        // A deleted key has no version.
        let gone = [("map", Guard::Version(6), None)];
        assert_eq!(change(&mut properties, &gone, 7, WIDE), Ok(()));
        assert_eq!(
            change(&mut properties, &gone, 8, WIDE),
            Err(Unchanged::Guard)
        );
        let again = [("map", Guard::Unset, Some("sea"))];
        assert_eq!(change(&mut properties, &again, 9, WIDE), Ok(()));
    }

    #[test]
    fn nobody_has_more_than_it_may() {
        let mut properties = Properties::default();
        let bounds = Bounds {
            count: 2,
            bytes: 10,
        };
        let long = [("k", Guard::Any, Some("0123456789"))];
        assert_eq!(
            change(&mut properties, &long, 1, bounds),
            Err(Unchanged::Limit)
        );
        let two = [("a", Guard::Any, Some("1")), ("b", Guard::Any, Some("2"))];
        assert_eq!(change(&mut properties, &two, 2, bounds), Ok(()));
        let third = [("c", Guard::Any, Some("3"))];
        assert_eq!(
            change(&mut properties, &third, 3, bounds),
            Err(Unchanged::Limit)
        );
        let instead = [("a", Guard::Any, None), ("c", Guard::Any, Some("3"))];
        assert_eq!(change(&mut properties, &instead, 4, bounds), Ok(()));
        assert_eq!(properties.bytes(), 4);
    }

    proptest! {
        /// Any changes, against a map.
        #[test]
        fn is_a_map_with_versions(
            steps in prop::collection::vec(
                prop::collection::btree_map(0usize..5, (0u8..3, prop::option::of(0usize..12)), 1..4), 0..30),
            bytes in 1usize..60,
        ) {
            let keys = ["a", "bb", "ccc", "d", "é"];
            let bounds = Bounds { count: 4, bytes };
            let mut properties = Properties::default();
            let mut model: BTreeMap<String, (u64, Vec<u8>)> = BTreeMap::new();
            for (version, step) in (1..).zip(steps) {
                let values: Vec<_> = step.iter().map(|(key, (guard, len))| {
                    let key = keys[*key];
                    let guard = match (guard, model.get(key)) {
                        (0, _) => Guard::Any,
                        (1, _) => Guard::Unset,
                        (_, Some((version, _))) => Guard::Version(*version),
                        (_, None) => Guard::Version(77),
                    };
                    (key, guard, len.map(|len| "x".repeat(len)))
                }).collect();
                let mut next = model.clone();
                let mut holds = true;
                for (key, guard, value) in &values {
                    holds &= match guard {
                        Guard::Any => true,
                        Guard::Unset => !model.contains_key(*key),
                        Guard::Version(version) => model.get(*key).is_some_and(|now| now.0 == *version),
                    };
                    match value {
                        Some(value) => next.insert((*key).to_owned(), (version, value.clone().into_bytes())),
                        None => next.remove(*key),
                    };
                }
                let size: usize = next.iter().map(|(key, (_, value))| key.len() + value.len()).sum();
                let expected = if !holds {
                    Err(Unchanged::Guard)
                } else if next.len() > bounds.count || size > bounds.bytes {
                    Err(Unchanged::Limit)
                } else {
                    Ok(())
                };
                let borrowed: Vec<_> = values.iter()
                    .map(|(key, guard, value)| (*key, *guard, value.as_deref())).collect();
                prop_assert_eq!(change(&mut properties, &borrowed, version, bounds), expected);
                if expected.is_ok() {
                    model = next;
                }
                prop_assert_eq!(now(&properties), model.clone());
            }
        }
    }
}
