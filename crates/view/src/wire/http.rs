//! The schemas of everything that is sent over HTTP, for an OpenAPI document.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value};

use super::{
    AttackDocument, AttackList, AttackRequest, AttentionDocument, AttentionRequest, Document,
    ExplainRequest, Health, JobAccepted, JobProgress, JobStatus, MethodList, ModelList,
    PredictDocument, PredictRequest, Problem,
};

/// Where an OpenAPI document keeps them.
const PLACE: &str = "/components/schemas";

/// Returns the schemas of requests and answers by the names of their types, as OpenAPI 3.1 takes
/// them: JSON Schema (draft 2020-12) with references into `#/components/schemas`.
pub fn components() -> Map<String, Value> {
    let settings = || SchemaSettings::draft2020_12().with(|s| s.definitions_path = PLACE.into());
    let mut requests = settings().for_deserialize().into_generator();
    requests.subschema_for::<PredictRequest>();
    requests.subschema_for::<ExplainRequest>();
    requests.subschema_for::<AttackRequest>();
    requests.subschema_for::<AttentionRequest>();
    let mut answers = settings().for_serialize().into_generator();
    answers.subschema_for::<PredictDocument>();
    answers.subschema_for::<Document>();
    answers.subschema_for::<AttackDocument>();
    answers.subschema_for::<AttentionDocument>();
    answers.subschema_for::<ModelList>();
    answers.subschema_for::<MethodList>();
    answers.subschema_for::<AttackList>();
    answers.subschema_for::<JobAccepted>();
    answers.subschema_for::<JobProgress>();
    answers.subschema_for::<JobStatus>();
    answers.subschema_for::<Health>();
    answers.subschema_for::<Problem>();
    let mut all = taken(&mut answers);
    // An input stands in answers too, among the examples; what is read is the wider form.
    all.extend(taken(&mut requests));
    all
}

fn taken(generator: &mut SchemaGenerator) -> Map<String, Value> {
    generator.take_definitions(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every reference in a schema.
    fn references(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                into.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, into));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, into)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let all = components();
        let mut found = Vec::new();
        all.values().for_each(|schema| references(schema, &mut found));
        assert!(found.len() > 20, "{found:?}");
        for reference in found {
            let name = reference.strip_prefix("#/components/schemas/").unwrap_or_default();
            assert!(all.contains_key(name), "{reference}");
        }
        for name in ["Document", "ExplainRequest", "Problem", "JobStatus", "AttentionDocument"] {
            assert!(all.contains_key(name), "{name}");
        }
    }
}
