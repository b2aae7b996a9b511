#include "serve/tool_request.h"

#include <algorithm>

namespace sllm {
namespace {

bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= kMaxToolName &&
         std::ranges::all_of(name, is_tool_name_byte);
}

std::string read_name(Fields& function) {
  std::string name = function.text("name");
  if (!is_name(name))
    function.fail("name", fmt::format("must have 1 to {} letters, digits, underscores, dashes and "
                                      "points",
                                      kMaxToolName));
  return name;
}

// An object's schema; a function without parameters takes an empty one.
Json read_parameters(Fields& function) {
  const Json* value = function.find("parameters");
  if (!value || *value == Json::object())
    return {{"type", "object"}, {"properties", Json::object()}};
  if (!value->is_object())
    return function.fail("parameters", "must be a JSON schema of an object"), Json();
  Json schema = *value;
  if (!schema.contains("type")) schema["type"] = "object";
  if (schema["type"] != "object")
    function.fail("parameters.type", "must be \"object\": arguments have names");
  return schema;
}

Tool read_tool(const Json& value, const std::string& path, Fields& f) {
  Tool tool;
  Fields t(value, path);
  if (t.text("type", "function") != "function")
    t.fail("type", "must be \"function\": this server offers no other tools");
  const Json* described = t.find("function");
  if (!described) {
    t.fail("function", "is required");
  } else {
    Fields function(*described, t.path("function"));
    tool.name = read_name(function);
    function.text("description");
    tool.parameters = read_parameters(function);
    tool.strict = function.boolean("strict", false);
    function.ignore({"return"});  // templates may tell it
    if (auto error = function.finish()) t.fail(*error);
  }
  if (auto error = t.finish()) {
    f.fail(*error);
    return tool;
  }
  // How calls are kept to the schema is between us and the caller.
  Json function = *described;
  function["parameters"] = tool.parameters;
  function.erase("strict");
  if (!function.contains("description") || function["description"].is_null())
    function["description"] = "";  // templates take it for granted
  tool.described = {{"type", "function"}, {"function", std::move(function)}};
  return tool;
}

// A JSON object, or a string that holds one.
Json read_arguments(Fields& function) {
  const Json* value = function.find("arguments");
  if (!value || *value == "") return Json::object();
  if (value->is_object()) return *value;
  if (value->is_string())
    if (auto object = parse_json_object(value->get_ref<const std::string&>()); object.ok())
      return std::move(object).value();
  function.fail("arguments", "must be a string that holds a JSON object");
  return Json::object();
}

}  // namespace

void read_tools(Fields& f, ToolUse& use) {
  const Json* list = f.find("tools");
  if (!list) return;
  if (!list->is_array()) return f.fail("tools", "must be an array");
  if (list->size() > kMaxTools)
    return f.fail("tools",
                  fmt::format("holds {} tools; at most {} are allowed", list->size(), kMaxTools));
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string path = fmt::format("{}[{}]", f.path("tools"), i);
    Tool tool = read_tool((*list)[i], path, f);
    if (std::ranges::count(use.tools, tool.name, &Tool::name) > 0)
      f.fail(bad_field(path + ".function.name",
                       fmt::format("{}.function.name: \"{}\" is there twice", path, tool.name)));
    use.tools.push_back(std::move(tool));
  }
}

void read_tool_choice(Fields& f, ToolUse& use) {
  use.parallel = f.boolean("parallel_tool_calls", true);
  const Json* choice = f.find("tool_choice");
  if (!choice || *choice == "auto") return;
  if (*choice == "none") {
    use.choice = ToolUse::Choice::kNone;
    return;
  }
  use.choice = ToolUse::Choice::kRequired;
  if (use.tools.empty())
    return f.fail("tool_choice", "asks for a call, but there are no \"tools\"");
  if (*choice == "required") return;
  if (!choice->is_object())
    return f.fail("tool_choice",
                  "must be \"none\", \"auto\", \"required\" or an object that names "
                  "a function");
  Fields c(*choice, f.path("tool_choice"));
  if (c.text("type") != "function") c.fail("type", "must be \"function\"");
  if (const Json* named = c.find("function")) {
    Fields function(*named, c.path("function"));
    use.only = function.text("name");
    if (std::ranges::count(use.tools, use.only, &Tool::name) == 0)
      function.fail("name", "is none of the \"tools\"");
    if (auto error = function.finish()) c.fail(*error);
  } else {
    c.fail("function", "is required");
  }
  if (auto error = c.finish()) f.fail(*error);
}

void read_tool_calls(Fields& m, Message& message) {
  const Json* list = m.find("tool_calls");
  if (!list) return;
  if (!list->is_array()) return m.fail("tool_calls", "must be an array");
  if (list->empty()) return;
  Json calls = Json::array();
  for (size_t i = 0; i < list->size(); ++i) {
    Fields c((*list)[i], fmt::format("{}[{}]", m.path("tool_calls"), i));
    Json call{{"id", c.text("id")}, {"type", "function"}};
    if (c.text("type", "function") != "function") c.fail("type", "must be \"function\"");
    c.ignore({"index"});
    if (const Json* value = c.find("function")) {
      Fields function(*value, c.path("function"));
      const std::string name = read_name(function);
      call["function"] = {{"name", name}, {"arguments", read_arguments(function)}};
      function.ignore({"index"});
      if (auto error = function.finish()) c.fail(*error);
    } else {
      c.fail("function", "is required");
    }
    if (auto error = c.finish()) return m.fail(*error);
    calls.push_back(std::move(call));
  }
  message.extra["tool_calls"] = std::move(calls);
}

void match_tool_results(Conversation& messages) {
  std::vector<std::string> open;  // calls whose results have not come yet
  int made = 0;
  for (Message& message : messages) {
    if (message.role == "assistant" && message.extra.contains("tool_calls")) {
      open.clear();
      for (Json& call : message.extra["tool_calls"]) {
        if (call["id"] == "") call["id"] = fmt::format("call{:05}", made++);
        open.push_back(call["id"]);
      }
    } else if (message.role == "tool") {
      const auto id = message.extra.find("tool_call_id");
      const std::string given =
          id != message.extra.end() && id->is_string() ? id->get<std::string>() : "";
      const auto of = given.empty() ? open.begin() : std::ranges::find(open, given);
      if (of == open.end()) continue;
      message.extra["tool_call_id"] = *of;
      open.erase(of);
    }
  }
}

}  // namespace sllm
