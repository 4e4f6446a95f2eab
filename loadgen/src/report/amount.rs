//! Numbers of which one may be later than all others, as JSON holds them.
//!
//! It owns the spelling of what never came: JSON has no infinity, and `null` would be taken for nothing measured.
//!
//! Invariant: what is written is read as the same number.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What never came.
const NEVER: &str = "never";

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Amount {
    Number(f64),
    Word(String),
}

impl From<f64> for Amount {
    fn from(number: f64) -> Self {
        if number == f64::INFINITY {
            Self::Word(NEVER.to_owned())
        } else {
            Self::Number(number)
        }
    }
}

impl Amount {
    fn number<E: Error>(self) -> Result<f64, E> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Word(word) if word == NEVER => Ok(f64::INFINITY),
            Self::Word(word) => Err(E::custom(format!("{word:?} is no amount"))),
        }
    }
}

/// For a number that may be absent.
pub(crate) mod option {
    use super::{Amount, Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(of: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        of.map(Amount::from).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        let amount = Option::<Amount>::deserialize(from)?;
        amount.map(Amount::number).transpose()
    }
}

/// For numbers by name.
pub(crate) mod map {
    use std::collections::BTreeMap;

    use super::{Amount, Deserialize, Deserializer, Serializer};

    type Map = BTreeMap<String, f64>;

    pub(crate) fn serialize<S: Serializer>(of: &Map, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(
            of.iter()
                .map(|(name, number)| (name, Amount::from(*number))),
        )
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Map, D::Error> {
        let amounts = BTreeMap::<String, Amount>::deserialize(from)?;
        let numbers = amounts.into_iter();
        numbers
            .map(|(name, amount)| Ok((name, amount.number()?)))
            .collect()
    }
}
