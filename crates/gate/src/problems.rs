//! The pages that the `type` of a problem leads to: what its code means, and what to do.

use posthaste_http::contract::{Access, Rule};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::LazyLock;

use axum::http::HeaderMap;
use axum::response::Response;
use posthaste_dispatch_api::access::no_such;
use posthaste_http::extract::Path;
use posthaste_http::made_once::MadeOnce;
use posthaste_http::problem::Answer;
use posthaste_protocol::problem::{Code, Problem};

use crate::page::{begin, escape, words};

pub(crate) const SHOW: Rule = Rule::get("/problems/{code}", Access::Public);

/// What a problem means
///
/// The page that the `type` of a problem leads to, for people: what the code means, and what to do.
#[utoipa::path(get, path = "/problems/{code}", tag = "server",
    params(("code" = String, Path, description = "The code of the problem.", example = "invalid")),
    responses((status = 200, body = String, content_type = "text/html")))]
pub(crate) async fn show(headers: HeaderMap, Path(code): Path<String>) -> Answer<Response> {
    static PAGES: LazyLock<HashMap<String, MadeOnce>> = LazyLock::new(|| {
        let pages =
            Code::ALL.iter().map(|code| (code.name(), MadeOnce::new("text/html; charset=utf-8", render(*code))));
        pages.collect()
    });
    let page = PAGES.get(&code).ok_or_else(|| no_such("problem"))?;
    Ok(page.answer(&headers))
}

fn render(code: Code) -> String {
    let (name, title, (meaning, advice)) = (code.name(), code.title(), code.advice());
    let mut page = begin(&format!("{title} ({name})"));
    page.push_str("<nav aria-label=\"Problems\"><strong>Problems</strong><ul>");
    for other in Code::ALL {
        let current = if *other == code { " aria-current=\"page\"" } else { "" };
        let other = other.name();
        let _ = write!(page, "<li><a href=\"/problems/{other}\"{current}><code>{other}</code></a></li>");
    }
    let example = serde_json::to_string_pretty(&Problem::new(code)).unwrap_or_default();
    let _ = write!(
        page,
        "</ul><a href=\"/docs/\">The API</a></nav>\n<main><h1>{}</h1>\n<p><code>{name}</code> <span class=\"way\">HTTP {}</span></p>\n\
         <p>{}</p>\n<h2>What to do</h2>\n<p>{}</p>\n<h2>As it is sent</h2>\n<pre tabindex=\"0\">{}</pre>\n\
         <p>With it come, where there is more to say: <code>detail</code> (this time, in words), <code>errors</code> (every wrong \
         field), <code>retry_after_seconds</code>, <code>attempts_left</code>, and <code>request_id</code>, by which whoever runs the \
         server finds the request in the log.</p></main></body></html>\n",
        escape(title),
        code.status(),
        words(meaning),
        words(advice),
        escape(&example),
    );
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_says_what_its_code_means_and_leads_to_all_others() {
        for code in Code::ALL {
            let page = render(*code);
            let (meaning, advice) = code.advice();
            assert!(page.contains(&words(meaning)) && page.contains(&words(advice)), "{page}");
            assert!(page.contains(&format!("HTTP {}", code.status())));
            assert_eq!(page.matches("href=\"/problems/").count(), Code::ALL.len());
        }
    }
}
