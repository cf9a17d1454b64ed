//! What the pages for people have in common. No script, and nothing that is not on the page itself.

const STYLE: &str = "
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); --soft: color-mix(in srgb, currentColor 6%, transparent); --accent: light-dark(#0a5c9e, #7ab8f5); }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; display: grid; grid-template-columns: 15rem minmax(0, 60rem); gap: 2.5rem; padding: 0 1.5rem 4rem; }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1.5rem 0; font-size: .875rem; }
nav ul { list-style: none; margin: 0 0 1rem; padding: 0; }
main { padding-top: 1rem; }
h1 { font-size: 1.75rem; } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); } h3 { margin-top: 2.25rem; }
h2, h3, h4 { line-height: 1.25; } h4 { margin: 1rem 0 .25rem; }
a { color: var(--accent); text-decoration: none; } a:hover, a:focus-visible { text-decoration: underline; }
code, pre { font: .875em/1.45 ui-monospace, monospace; }
pre { background: var(--soft); padding: .75rem 1rem; overflow: auto; border-radius: 6px; max-height: 26rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); }
.names a { display: inline-block; margin: 0 .75rem .25rem 0; }
.way { font-size: .75rem; font-weight: 400; border: 1px solid var(--line); border-radius: 1em; padding: .1rem .6rem; }
@media (max-width: 50rem) { body { grid-template-columns: minmax(0, 1fr); gap: 0; } nav { position: static; height: auto; } }
";

/// A page up to its body.
pub(crate) fn begin(title: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>\n"
    )
}

/// Text that cannot be taken for markup.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Text with `code` in it.
pub(crate) fn words(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts.map(|(n, part)| if n % 2 == 1 { format!("<code>{}</code>", escape(part)) } else { escape(part) }).collect()
}
