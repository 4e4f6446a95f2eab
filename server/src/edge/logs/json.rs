//! One JSON object for each log line: `timestamp`, `level`, and `fields` with the message among them.
//!
//! Must not know: what lines say. Invariant: numbers are numbers, and a list of counts is an object.

use std::fmt;

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Fields whose text is `label=count label=count`: the values of `tracing` do not nest.
const COUNTS: [&str; 1] = ["ends"];

/// Writes events.
pub(super) struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = event.metadata().level().as_str();
        let line = json!({ "timestamp": timestamp, "level": level, "fields": fields.0 });
        writeln!(writer, "{line}")
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let value = if COUNTS.contains(&field.name()) {
            counts(value)
        } else {
            value.into()
        };
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

fn counts(text: &str) -> Value {
    let counts = text.split_whitespace().filter_map(|count| {
        let (label, count) = count.split_once('=')?;
        Some((label.to_owned(), count.parse::<u64>().ok()?.into()))
    });
    Value::Object(counts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_counts_is_an_object() {
        assert_eq!(counts(""), json!({}));
        assert_eq!(
            counts("peer_gone=3 drain=20"),
            json!({ "peer_gone": 3, "drain": 20 })
        );
    }
}
