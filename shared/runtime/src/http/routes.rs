//! The routes of the whole API, for what none of them takes.
//!
//! A request with a method that its path does not have reaches `control-api`, also where another function has the path. The
//! answer names the methods that the path has (RFC 9110, 15.5.6). A test holds the list against `infra/template.yaml`.

use axum::http::{Method, Uri};

use super::problem::Problem;

/// Each path with its methods, as `Allow` names them.
pub const ROUTES: &[(&str, &str)] = &[
    ("/v1/assignments", "POST"),
    ("/v1/assignments/{id}", "GET"),
    ("/v1/assignments/{id}/book", "POST"),
    ("/v1/assignments/{id}/extend", "POST"),
    ("/v1/assignments/{id}/release", "POST"),
    ("/v1/assistant-templates", "GET"),
    ("/v1/assistants", "GET, POST"),
    ("/v1/assistants/import", "POST"),
    ("/v1/assistants/{id}", "GET, PATCH, DELETE"),
    ("/v1/assistants/{id}/adopt", "POST"),
    ("/v1/assistants/{id}/drift", "GET"),
    ("/v1/assistants/{id}/versions", "GET"),
    ("/v1/calls", "GET"),
    ("/v1/calls/{id}", "GET"),
    ("/v1/campaigns", "GET, POST"),
    ("/v1/campaigns/{id}", "GET, PATCH"),
    ("/v1/campaigns/{id}/callbacks", "POST"),
    ("/v1/campaigns/{id}/calls", "GET"),
    ("/v1/campaigns/{id}/calls/export", "GET"),
    ("/v1/campaigns/{id}/cancel", "POST"),
    ("/v1/campaigns/{id}/contacts", "GET, POST"),
    ("/v1/campaigns/{id}/export", "GET"),
    ("/v1/campaigns/{id}/pause", "POST"),
    ("/v1/campaigns/{id}/preflight", "POST"),
    ("/v1/campaigns/{id}/resume", "POST"),
    ("/v1/campaigns/{id}/start", "POST"),
    ("/v1/companies", "GET, POST"),
    ("/v1/company", "GET, PATCH"),
    ("/v1/consents", "POST"),
    ("/v1/consents/{phone}", "GET"),
    ("/v1/consents/{phone}/revoke", "POST"),
    ("/v1/decisions", "POST"),
    ("/v1/decisions/{id}", "GET"),
    ("/v1/health", "GET"),
    ("/v1/leads/{lead}/assignment", "GET"),
    ("/v1/numbers", "GET"),
    ("/v1/numbers/import", "POST"),
    ("/v1/numbers/{number}", "GET, PATCH"),
    ("/v1/numbers/{number}/complaint", "POST"),
    ("/v1/numbers/{number}/drain", "POST"),
    ("/v1/numbers/{number}/extend", "POST"),
    ("/v1/numbers/{number}/label", "POST"),
    ("/v1/numbers/{number}/lead", "GET"),
    ("/v1/numbers/{number}/quarantine", "POST"),
    ("/v1/numbers/{number}/release", "POST"),
    ("/v1/numbers/{number}/restore", "POST"),
    ("/v1/numbers/{number}/retire", "POST"),
    ("/v1/numbers:import", "POST"),
    ("/v1/operator/numbers/{number}/confirm", "POST"),
    ("/v1/operator/provider/numbers", "GET"),
    ("/v1/operator/stops", "GET, PUT, DELETE"),
    ("/v1/operator/suppressions", "POST"),
    ("/v1/pool", "GET"),
    ("/v1/pool/report", "GET"),
    ("/v1/provider/numbers", "GET"),
    ("/v1/provider/numbers/sync", "POST"),
    ("/v1/rules", "GET"),
    ("/v1/stops", "GET, PUT, DELETE"),
    ("/v1/suppressions", "POST"),
    ("/v1/tasks", "GET"),
    ("/v1/tasks/{id}", "GET"),
    ("/v1/tasks/{id}/done", "POST"),
    ("/v1/waiting", "GET"),
    ("/v1/waiting/{lead}", "DELETE"),
    ("/v1/webhooks/vapi", "POST"),
];

/// The methods that a path has; none: there is no such path.
pub(super) fn methods_of(path: &str) -> Option<&'static str> {
    // `/v1/numbers/import` is a path of its own, and of the form of `/v1/numbers/{number}`, too.
    let found = ROUTES.iter().find(|(route, _)| *route == path);
    let found = found.or_else(|| ROUTES.iter().find(|(route, _)| is_of(route, path)));
    found.map(|(_, methods)| *methods)
}

fn is_of(route: &str, path: &str) -> bool {
    let (mut parts, mut given) = (route.split('/'), path.split('/'));
    loop {
        match (parts.next(), given.next()) {
            (None, None) => return true,
            (Some(part), Some(given)) if part.starts_with('{') && !given.is_empty() => {}
            (Some(part), Some(given)) if part == given => {}
            (_, _) => return false,
        }
    }
}

/// What a request gets that no route takes.
pub(super) fn not_routed(method: &Method, uri: &Uri) -> Problem {
    match methods_of(uri.path()) {
        Some(methods) => Problem::method_not_allowed(method, methods),
        None => Problem::not_found("route"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_methods_of_its_route_alone() {
        for (path, methods) in [
            ("/v1/health", Some("GET")),
            ("/v1/numbers/import", Some("POST")),
            ("/v1/numbers:import", Some("POST")),
            ("/v1/numbers/+14155550101", Some("GET, PATCH")),
            ("/v1/numbers/%2B14155550101/lead", Some("GET")),
            ("/v1/assistants/import", Some("POST")),
            ("/v1/assistants/ast_1", Some("GET, PATCH, DELETE")),
            ("/v1/stops", Some("GET, PUT, DELETE")),
            ("/v1/health/", None),
            ("/v1/numbers/", None),
            ("/v1", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(methods_of(path), methods, "{path}");
        }
    }
}
