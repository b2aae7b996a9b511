// The table of bad requests, and what good ones become.
#include "serve/api_request.h"

#include <gtest/gtest.h>

namespace sllm {
namespace {

constexpr int64_t kVocab = 1000;

TEST(ApiRequest, SaysWhereTheBodyIsNotJson) {
  const auto parsed = parse_json_object("{\"messages\":[\n");
  ASSERT_FALSE(parsed.ok());
  EXPECT_NE(parsed.error().message.find("line 2, column 1"), std::string::npos)
      << parsed.error().message;
  EXPECT_EQ(parsed.error().message.find("json.exception"), std::string::npos);
}

// A good chat request and another field.
std::string with(const std::string& extra) {
  return R"({"messages":[{"role":"user","content":"hi"}],)" + extra + "}";
}

TEST(ApiRequest, RefusesObjectsOfVeryManyFields) {
  std::string many = "{\"a\":{";
  for (size_t i = 0; i <= kMaxJsonKeys; ++i) many += fmt::format("\"{}\":0,", i);
  many.back() = '}';
  EXPECT_NE(parse_json_object(many + "}").error().message.find("1024 fields"), std::string::npos);
}

TEST(ApiRequest, RefusesBadChatRequestsNamingTheParameter) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", ""},
      {"[]", ""},
      {"{", ""},
      {"null", ""},
      {"\xff\xfe", ""},
      {std::string(100000, '['), ""},
      {R"({"messages":[{"role":"user","content":")"
       "\xc3\x28"
       R"("}]})",
       ""},
      {R"({"a":NaN})", ""},
      {R"({"messages":[{"role":"user","content":"hi"}],"seed":1e999})", ""},
      {"{}", "messages"},
      {R"({"messages":null})", "messages"},
      {R"({"messages":[]})", "messages"},
      {R"({"messages":"hi"})", "messages"},
      {R"({"messages":["hi"]})", "messages[0]"},
      {R"({"messages":[{"content":"hi"}]})", "messages[0].role"},
      {R"({"messages":[{"role":"robot","content":"hi"}]})", "messages[0].role"},
      {R"({"messages":[{"role":"user"}]})", "messages[0].content"},
      {R"({"messages":[{"role":"user","content":null}]})", "messages[0].content"},
      {R"({"messages":[{"role":"user","content":3}]})", "messages[0].content"},
      {R"({"messages":[{"role":"user","content":[]}]})", "messages[0].content"},
      {R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]})",
       "messages[0].content[0].type"},
      {R"({"messages":[{"role":"user","content":"a","content":"b"}]})", "content"},
      {R"({"messages":[{"role":"user","content":"a","colour":1}]})", "messages[0].colour"},
      {with(R"("n":0)"), "n"},
      {with(R"("n":1000000)"), "n"},
      {with(R"("n":1.5)"), "n"},
      {with(R"("n":"1")"), "n"},
      {with(R"("max_tokens":-1)"), "max_tokens"},
      {with(R"("max_tokens":0)"), "max_tokens"},
      {with(R"("max_tokens":9223372036854775808)"), "max_tokens"},
      {with(R"("max_completion_tokens":0)"), "max_completion_tokens"},
      {with(R"("temperature":-1)"), "temperature"},
      {with(R"("temperature":"hot")"), "temperature"},
      {with(R"("temperature":2.1)"), "temperature"},
      {with(R"("top_p":1.01)"), "top_p"},
      {with(R"("top_k":-5)"), "top_k"},
      {with(R"("presence_penalty":3)"), "presence_penalty"},
      {with(R"("frequency_penalty":-3)"), "frequency_penalty"},
      {with(R"("logit_bias":[])"), "logit_bias"},
      {with(R"("logit_bias":{"1000":1})"), "logit_bias"},
      {with(R"("logit_bias":{"x":1})"), "logit_bias"},
      {with(R"("logit_bias":{"1":101})"), "logit_bias"},
      {with(R"("logit_bias":{"1":"a"})"), "logit_bias"},
      {with(R"("stop":[1])"), "stop"},
      {with(R"("stop":"")"), "stop"},
      {with(R"("stop":["a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a"])"),
       "stop"},
      {with(R"("top_logprobs":21,"logprobs":true)"), "top_logprobs"},
      {with(R"("top_logprobs":2)"), "top_logprobs"},
      {with(R"("logprobs":5)"), "logprobs"},
      {with(R"("stream":1)"), "stream"},
      {with(R"("stream_options":{"include_usage":true})"), "stream_options"},
      {with(R"("stream":true,"stream_options":{"x":true})"), "stream_options.x"},
      {with(R"("seed":"s")"), "seed"},
      {with(R"("model":7)"), "model"},
      {with(R"("tools":{})"), "tools"},
      {with(R"("tools":["f"])"), "tools[0]"},
      {with(R"("tools":[{"type":"function"}])"), "tools[0].function"},
      {with(R"("tools":[{"type":"search","function":{"name":"f"}}])"), "tools[0].type"},
      {with(R"("tools":[{"type":"function","function":{}}])"), "tools[0].function.name"},
      {with(R"("tools":[{"type":"function","function":{"name":"f g"}}])"),
       "tools[0].function.name"},
      {with(R"("tools":[{"type":"function","function":{"name":"f","parameters":[]}}])"),
       "tools[0].function.parameters"},
      {with(
           R"("tools":[{"type":"function","function":{"name":"f","parameters":{"type":"string"}}}])"),
       "tools[0].function.parameters.type"},
      {with(R"("tools":[{"type":"function","function":{"name":"f","strict":"yes"}}])"),
       "tools[0].function.strict"},
      {with(R"("tools":[{"type":"function","function":{"name":"f","colour":1}}])"),
       "tools[0].function.colour"},
      {with(R"("tools":[{"function":{"name":"f"}},{"function":{"name":"f"}}])"),
       "tools[1].function.name"},
      {with(R"("tool_choice":"required")"), "tool_choice"},
      {with(R"("tools":[{"function":{"name":"f"}}],"tool_choice":"any")"), "tool_choice"},
      {with(R"("tools":[{"function":{"name":"f"}}],"tool_choice":{"type":"function"})"),
       "tool_choice.function"},
      {with(
           R"("tools":[{"function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"g"}})"),
       "tool_choice.function.name"},
      {with(R"("parallel_tool_calls":1)"), "parallel_tool_calls"},
      {with(R"("tools":[{"function":{"name":"f"}}],"sllm":{"ground":true})"), "tools"},
      {R"({"messages":[{"role":"assistant","tool_calls":{}}]})", "messages[0].tool_calls"},
      {R"({"messages":[{"role":"user","tool_calls":[{"function":{"name":"f"}}]}]})",
       "messages[0].tool_calls"},
      {R"({"messages":[{"role":"assistant","tool_calls":[{"id":"a"}]}]})",
       "messages[0].tool_calls[0].function"},
      {R"({"messages":[{"role":"assistant","tool_calls":[{"function":{"name":""}}]}]})",
       "messages[0].tool_calls[0].function.name"},
      {R"({"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"[]"}}]}]})",
       "messages[0].tool_calls[0].function.arguments"},
      {with(R"("response_format":{"type":"xml"})"), "response_format.type"},
      {with(R"("response_format":"json_object")"), "response_format"},
      {with(R"("response_format":{"type":"json_schema"})"), "response_format.json_schema"},
      {with(R"("response_format":{"type":"json_schema","json_schema":{"name":"a"}})"),
       "response_format.json_schema.schema"},
      {with(R"("response_format":{"type":"json_schema","json_schema":{"schema":{"type":"car"}}})"),
       "response_format.json_schema.schema"},
      {with(R"("grammar":"root = a")"), "grammar"},
      {with(R"("grammar":"root ::= other")"), "grammar"},
      {with(R"("grammar":7)"), "grammar"},
      {with(R"("grammar":"root ::= \"a\"","response_format":{"type":"json_object"})"),
       "response_format"},
      {with(R"("chat_template_kwargs":{"messages":[]})"), "chat_template_kwargs.messages"},
      {with(R"("chat_template_kwargs":{"add_generation_prompt":false})"),
       "chat_template_kwargs.add_generation_prompt"},
      {with(R"("sllm":{"ground":"yes"})"), "sllm.ground"},
      {with(R"("sllm":true)"), "sllm"},
      {with(R"("mirostat":2)"), "mirostat"},
  };
  for (const auto& [body, param] : cases) {
    const auto request = parse_chat_request(body, kVocab);
    ASSERT_FALSE(request.ok()) << body.substr(0, 200);
    EXPECT_EQ(request.error().status, 400);
    EXPECT_EQ(request.error().param, param) << body.substr(0, 200);
    EXPECT_FALSE(request.error().message.empty());
    EXPECT_LT(to_json(request.error()).dump(-1, ' ', false, Json::error_handler_t::replace).size(),
              2000u);
  }
}

TEST(ApiRequest, RefusesBadCompletionsAndEmbeddings) {
  for (const auto& [body, param] : std::vector<std::pair<std::string, std::string>>{
           {R"({})", "prompt"},
           {R"({"prompt":""})", "prompt"},
           {R"({"prompt":[]})", "prompt"},
           {R"({"prompt":[[]]})", "prompt"},
           {R"({"prompt":[1,1000]})", "prompt"},
           {R"({"prompt":[1,-1]})", "prompt"},
           {R"({"prompt":[1,"a"]})", "prompt"},
           {R"({"prompt":{"a":1}})", "prompt"},
           {R"({"prompt":"a","max_tokens":0})", "max_tokens"},
           {R"({"prompt":"a","best_of":3})", "best_of"},
           {R"({"prompt":"a","suffix":"b"})", "suffix"},
           {R"({"prompt":"a","logprobs":21})", "logprobs"},
           {R"({"prompt":"a","echo":1})", "echo"}}) {
    const auto request = parse_completion_request(body, kVocab);
    ASSERT_FALSE(request.ok()) << body;
    EXPECT_EQ(request.error().param, param) << body;
  }
  for (const auto& [body, param] : std::vector<std::pair<std::string, std::string>>{
           {R"({})", "input"},
           {R"({"input":[null]})", "input"},
           {R"({"input":"a","encoding_format":"f16"})", "encoding_format"},
           {R"({"input":"a","dimensions":4})", "dimensions"}}) {
    const auto request = parse_embedding_request(body, kVocab);
    ASSERT_FALSE(request.ok()) << body;
    EXPECT_EQ(request.error().param, param) << body;
  }
  EXPECT_EQ(parse_ask_request(R"({"question":""})").error().param, "question");
}

TEST(ApiRequest, AcceptsBenignValuesOfWhatItCannotDo) {
  const auto request = parse_chat_request(
      R"({"messages":[{"role":"user","content":"hi","name":null}],"model":"m","n":1,"logprobs":false,
          "tools":null,"tool_choice":"none","response_format":{"type":"text"},"user":"u","store":false,
          "stop":null,"logit_bias":null,"service_tier":"auto","parallel_tool_calls":true,"metadata":{"a":"b"}})",
      kVocab);
  ASSERT_TRUE(request.ok()) << request.error().message;
}

TEST(ApiRequest, ReadsEveryField) {
  auto request = parse_chat_request(
      R"({"model":"tuned","messages":[{"role":"developer","content":"be brief"},
          {"role":"user","content":[{"type":"text","text":"안"},{"type":"text","text":"녕"}]}],
          "max_tokens":5,"max_completion_tokens":7,"temperature":0.5,"top_p":0.9,"top_k":40,"seed":-1,
          "stop":["a","b"],"n":3,"logprobs":true,"top_logprobs":4,"logit_bias":{"7":-100},
          "stream":true,"stream_options":{"include_usage":true},"sllm":{"ground":true},
          "chat_template_kwargs":{"enable_thinking":false}})",
      kVocab);
  ASSERT_TRUE(request.ok()) << request.error().message;
  EXPECT_EQ(request->model, "tuned");
  EXPECT_EQ(request->messages[0].role, "system");
  EXPECT_EQ(request->messages[1].content, "안녕");
  EXPECT_EQ(request->max_tokens, 7);
  EXPECT_EQ(request->seed, UINT64_MAX);
  EXPECT_EQ(request->stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(request->n, 3);
  EXPECT_EQ(request->top_logprobs, 4);
  EXPECT_EQ(request->sampling.logit_bias.at(7), -100);
  EXPECT_TRUE(request->stream && request->include_usage && request->ground);
  EXPECT_EQ(request->template_kwargs["enable_thinking"], false);
}

TEST(ApiRequest, ReadsFunctionsAndCalls) {
  auto request = parse_chat_request(
      R"({"messages":[{"role":"user","content":"hi"},
          {"role":"assistant","content":null,"tool_calls":[{"id":"a1","type":"function",
           "function":{"name":"f","arguments":"{\"z\": \"서울\", \"a\": [1]}"}},
           {"id":"a2","type":"function","function":{"name":"g","arguments":""}}]},
          {"role":"tool","tool_call_id":"a1","content":[{"type":"text","text":"12"}]}],
          "tools":[{"type":"function","function":{"name":"f","description":"d","strict":true,
           "parameters":{"properties":{"z":{"type":"string"}}}}},
           {"type":"function","function":{"name":"g"}}],
          "tool_choice":{"type":"function","function":{"name":"g"}},"parallel_tool_calls":false})",
      kVocab);
  ASSERT_TRUE(request.ok()) << request.error().message;
  const ToolUse& use = request->tools;
  ASSERT_EQ(use.tools.size(), 2u);
  EXPECT_EQ(use.choice, ToolUse::Choice::kRequired);
  EXPECT_EQ(use.only, "g");
  EXPECT_FALSE(use.parallel);
  EXPECT_TRUE(use.tools[0].strict);
  EXPECT_EQ(use.tools[0].described.dump(),
            R"({"type":"function","function":{"name":"f","description":"d","parameters":)"
            R"({"properties":{"z":{"type":"string"}},"type":"object"}}})");
  EXPECT_EQ(use.tools[1].parameters.dump(), R"({"type":"object","properties":{}})");
  EXPECT_EQ(
      request->messages[1].extra["tool_calls"].dump(),
      R"([{"id":"a1","type":"function","function":{"name":"f","arguments":{"z":"서울","a":[1]}}},)"
      R"({"id":"a2","type":"function","function":{"name":"g","arguments":{}}}])");
  EXPECT_EQ(request->messages[2].content, "12");
  request = parse_chat_request(
      with(
          R"("tools":[{"function":{"name":"f"}}],"tool_choice":"none","grammar":"root ::= \"a\"")"),
      kVocab);
  ASSERT_TRUE(request.ok()) << request.error().message;
  EXPECT_TRUE(request->tools.none());
  request = parse_chat_request(
      with(R"("tools":[{"function":{"name":"f"}}],"response_format":{"type":"json_object"})"),
      kVocab);
  ASSERT_TRUE(request.ok()) << request.error().message;
  EXPECT_TRUE(request->grammar && !request->tools.none());  // either may come
}

// Ollama's clients send no ids, and templates may demand them.
TEST(ApiRequest, MatchesResultsWithTheirCalls) {
  auto request = parse_chat_request(
      R"({"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f"}},
           {"id":"own","function":{"name":"g"}}]},
          {"role":"tool","tool_call_id":"own","content":"1"},{"role":"tool","content":"2"},
          {"role":"assistant","tool_calls":[{"function":{"name":"f"}}]},
          {"role":"tool","content":"3"},{"role":"tool","content":"4"}],
          "tools":[{"function":{"name":"f"}}]})",
      kVocab);
  ASSERT_TRUE(request.ok()) << request.error().message;
  const Conversation& m = request->messages;
  EXPECT_EQ(m[0].extra["tool_calls"][0]["id"], "call00000");
  EXPECT_EQ(m[0].extra["tool_calls"][1]["id"], "own");
  EXPECT_EQ(m[1].extra["tool_call_id"], "own");
  EXPECT_EQ(m[2].extra["tool_call_id"], "call00000");
  EXPECT_EQ(m[3].extra["tool_calls"][0]["id"], "call00001");
  EXPECT_EQ(m[4].extra["tool_call_id"], "call00001");
  EXPECT_FALSE(m[5].extra.contains("tool_call_id"));  // nobody asked
  EXPECT_EQ(request->tools.tools[0].described["function"]["description"], "");
}

TEST(ApiRequest, ReadsTheFormOfTheAnswer) {
  const auto grammar = [](const std::string& fields) {
    const auto request = parse_chat_request(with(fields), kVocab);
    return request.ok() ? request.value().grammar : nullptr;
  };
  EXPECT_EQ(grammar(R"("response_format":{"type":"text"})"), nullptr);
  EXPECT_NE(grammar(R"("response_format":{"type":"json_object"})"), nullptr);
  EXPECT_NE(grammar(R"("response_format":{"type":"json_schema","json_schema":
                       {"name":"n","strict":true,"schema":{"type":"integer"}}})"),
            nullptr);
  EXPECT_NE(grammar(R"("grammar":"root ::= [a-z]+")"), nullptr);
}

TEST(ApiRequest, ReadsPromptsOfAllShapes) {
  const auto prompts = [](const char* body) {
    return parse_completion_request(body, kVocab)->prompts;
  };
  EXPECT_EQ(prompts(R"({"prompt":"a"})").size(), 1u);
  EXPECT_EQ(prompts(R"({"prompt":["a","b"]})").size(), 2u);
  EXPECT_EQ(prompts(R"({"prompt":[1,2,3]})"), std::vector<Prompt>({std::vector<TokenId>{1, 2, 3}}));
  EXPECT_EQ(prompts(R"({"prompt":[[1],[2,3]]})").size(), 2u);
}

}  // namespace
}  // namespace sllm
