//! The OpenAPI document: operations are described where their routes are listed, and schemas come
//! from the wire types, so nothing is said twice.

use std::sync::Arc;

use axum::routing::MethodRouter;
use serde_json::{Value, json};
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, ResponseBuilder,
    Schema,
};
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::problem::Code;

/// The whole document.
#[must_use]
pub fn document() -> Value {
    let (_, api) = crate::routes::all().split_for_parts();
    let mut document = serde_json::to_value(&api).unwrap_or_default();
    document["components"] = json!({
        "schemas": glossator_view::wire::components(),
        "securitySchemes": {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "Needed where the server was started with a token.",
            },
        },
    });
    document
}

/// A document without any operation.
pub(crate) fn empty() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Glossator")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(format!(
            "Why did the model say that, and how does it break? Problems are \
             `application/problem+json`; their `code` is one of {}.",
            Code::ALL.map(Code::id).join(", ")
        )));
    OpenApiBuilder::new().info(info.build()).build()
}

/// Adds a path with its operations.
pub(crate) fn route<const N: usize>(
    router: OpenApiRouter<Arc<App>>,
    path: &str,
    operations: [(Operation, MethodRouter<Arc<App>>); N],
) -> OpenApiRouter<Arc<App>> {
    let mut router = router;
    for (operation, handler) in operations {
        let method = operation.method.clone();
        let item = PathItem::new(method, operation.built());
        let paths = PathsBuilder::new().path(path, item).build();
        router = router.routes((Vec::new(), paths, handler));
    }
    router
}

/// What one route does with one method.
pub(crate) struct Operation {
    method: HttpMethod,
    builder: OperationBuilder,
    answers: Vec<(u16, Answer)>,
    open: bool,
}

/// An answer of one status.
struct Answer {
    description: String,
    /// The kinds of content, each with its schema.
    contents: Vec<(String, RefOr<Schema>)>,
}

impl Operation {
    fn new(method: HttpMethod, id: &str, summary: &str) -> Self {
        let builder = OperationBuilder::new().operation_id(Some(id)).summary(Some(summary));
        Self { method, builder, answers: Vec::new(), open: false }
    }

    pub(crate) fn get(id: &str, summary: &str) -> Self {
        Self::new(HttpMethod::Get, id, summary)
    }

    pub(crate) fn delete(id: &str, summary: &str) -> Self {
        Self::new(HttpMethod::Delete, id, summary)
    }

    /// With a body of that type.
    pub(crate) fn post(id: &str, summary: &str, body: &str) -> Self {
        let mut operation = Self::new(HttpMethod::Post, id, summary);
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(body))).build();
        let body = RequestBodyBuilder::new()
            .content("application/json", content)
            .required(Some(Required::True))
            .build();
        operation.builder = operation.builder.request_body(Some(body));
        operation
            .problem(400, "The request cannot be read.")
            .problem(408, "The request came too slowly.")
            .problem(413, "The request is too large.")
            .problem(415, "The request is not JSON.")
            .problem(422, "What is asked for cannot be done; the code says why.")
    }

    pub(crate) fn describe(mut self, text: &str) -> Self {
        self.builder = self.builder.description(Some(text));
        self
    }

    /// It does not need the token.
    pub(crate) fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// It may be busy, and may take too long.
    pub(crate) fn computes(self) -> Self {
        self.problem(429, "As many requests are waiting as may; Retry-After tells when to try.")
            .problem(503, "The server is shutting down.")
            .problem(504, "It took longer than this server gives a request.")
    }

    /// It may be answered later.
    pub(crate) fn later(self) -> Self {
        let prefer = ParameterBuilder::new()
            .name("Prefer")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("`respond-async` to be told the name of a job at once."))
            .schema(Some(text_of(&["respond-async"])))
            .build();
        let mut operation = self.json(202, "JobAccepted", "A job was made; Location names it.");
        operation.builder = operation.builder.parameter(prefer);
        operation
    }

    /// It has the answer in other forms.
    pub(crate) fn formats(mut self, names: &[&str]) -> Self {
        let format = ParameterBuilder::new()
            .name("format")
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some("The form of the answer; JSON if not given."))
            .schema(Some(text_of(names)))
            .build();
        self.builder = self.builder.parameter(format);
        self
    }

    pub(crate) fn path(mut self, name: &str, description: &str) -> Self {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(description))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
            .build();
        self.builder = self.builder.parameter(parameter);
        self
    }

    fn answer(&mut self, status: u16, description: &str) -> &mut Answer {
        let place = self.answers.iter().position(|(known, _)| *known == status);
        let place = place.unwrap_or_else(|| {
            let answer = Answer { description: description.to_owned(), contents: Vec::new() };
            self.answers.push((status, answer));
            self.answers.len() - 1
        });
        &mut self.answers[place].1
    }

    fn content(mut self, status: u16, kind: &str, schema: RefOr<Schema>, about: &str) -> Self {
        self.answer(status, about).contents.push((kind.to_owned(), schema));
        self
    }

    /// It answers with JSON of that type.
    pub(crate) fn json(self, status: u16, schema: &str, about: &str) -> Self {
        let schema = RefOr::Ref(Ref::from_schema_name(schema));
        self.content(status, "application/json", schema, about)
    }

    /// It answers with an object that is described elsewhere.
    pub(crate) fn value(self, status: u16, about: &str) -> Self {
        let schema = ObjectBuilder::new().schema_type(Type::Object).build();
        self.content(status, "application/json", RefOr::T(schema.into()), about)
    }

    pub(crate) fn text(self, status: u16, kind: &str, about: &str) -> Self {
        let schema = ObjectBuilder::new().schema_type(Type::String).build();
        self.content(status, kind, RefOr::T(schema.into()), about)
    }

    /// It answers with text of these kinds, too.
    pub(crate) fn forms(self, status: u16, kinds: &[&str]) -> Self {
        kinds.iter().fold(self, |operation, kind| operation.text(status, kind, ""))
    }

    pub(crate) fn nothing(mut self, status: u16, about: &str) -> Self {
        self.answer(status, about);
        self
    }

    pub(crate) fn problem(self, status: u16, about: &str) -> Self {
        let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
        self.content(status, "application/problem+json", schema, about)
    }

    fn built(self) -> utoipa::openapi::path::Operation {
        let open = self.open;
        let mut operation = self.problem(403, "The host or the origin is not this server.");
        if !open {
            operation = operation.problem(401, "The token is missing or wrong.");
        }
        operation.answers.sort_by_key(|(status, _)| *status);
        let mut builder = operation.builder;
        for (status, answer) in operation.answers {
            let mut response = ResponseBuilder::new().description(answer.description);
            for (kind, schema) in answer.contents {
                let content = ContentBuilder::new().schema(Some(schema)).build();
                response = response.content(kind, content);
            }
            builder = builder.response(status.to_string(), response.build());
        }
        if !open {
            let none: [&str; 0] = [];
            builder = builder.security(SecurityRequirement::new("token", none));
            // Not every server has a token.
            builder = builder.security(SecurityRequirement::default());
        }
        builder.build()
    }
}

/// One of some words.
fn text_of(words: &[&str]) -> Schema {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.to_vec())).build().into()
}
