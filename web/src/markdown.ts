// A model's Markdown as safe HTML. Raw HTML is shown as text, images become links that name their
// host (fetching them would tell that host what was asked), and DOMPurify has the last word.
import DOMPurify from "dompurify";
import { Marked } from "marked";
import { t } from "./i18n";

const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escape = (text: string) => text.replace(/[&<>"']/g, (c) => escapes[c]);

function host(href: string): string {
  try { return new URL(href).host; } catch { return ""; }
}

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text }) => escape(text),
    image: ({ href, text }) =>
      `<a href="${escape(href)}">[${escape(text || "")} ${t.value.image}: ${escape(host(href))}]</a>`,
  },
  extensions: [{
    name: "citation",
    level: "inline",
    start: (source: string) => source.search(/\[\d/),
    tokenizer(source: string) {
      const match = /^\[(\d{1,2})\](?!\()/.exec(source);
      return match ? { type: "citation", raw: match[0], number: match[1] } : undefined;
    },
    renderer: (token) => `<a class="cite" href="#source-${token.number}">${token.number}</a>`,
  }],
});

const purify = DOMPurify(window);
purify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName !== "A") return;
  if (node.getAttribute("href")?.startsWith("#source-")) return;
  node.removeAttribute("class");
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer");
});

const allowed = {
  ALLOWED_TAGS: ["p", "br", "hr", "strong", "em", "del", "code", "pre", "blockquote", "ul", "ol", "li", "a",
    "h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"],
  ALLOWED_ATTR: ["href", "class", "start", "align"],
  ALLOW_DATA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:|#source-)/i,
};

// The parser recurses, so thousands of nested quotes exhaust its stack: those are shown as they are.
function parse(markdown: string): string {
  try {
    return marked.parse(markdown, { async: false });
  } catch {
    return `<pre>${escape(markdown)}</pre>`;
  }
}

export function toHtml(markdown: string): string {
  return purify.sanitize(parse(markdown), allowed);
}
