"""The conversations that templates.py renders: each a dict with messages and, where it has them,
tools, documents, variables (enable_thinking, ...), gen (generation prompt) and continue."""

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather of a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "City, e.g. 서울 & <Paris>"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "default": 1},
                "places": {"type": "array", "items": {"type": "number"}},
            },
            "required": ["city"],
        },
        "return": {"type": "string"},
    },
}
NESTED = {
    "type": "function",
    "function": {
        "name": "예약_book",
        "description": "예약을 합니다 — \"quoted\" & <tagged>\nsecond line",
        "parameters": {
            "type": "object",
            "properties": {
                "who": {
                    "type": "object",
                    "description": "사람",
                    "properties": {
                        "name": {"type": ["string", "null"], "description": "이름 'n'"},
                        "ages": {"type": "array", "items": {"type": "array", "items": {
                            "type": "integer", "minimum": -1, "maximum": 1.5e10}}},
                        "kind": {"anyOf": [{"type": "string", "enum": ["성인", "아이 👶"]},
                                           {"type": "boolean", "default": False}]},
                    },
                    "required": ["name"],
                },
                "empty": {"type": "object", "properties": {}},
                "rate": {"type": "number", "default": 0.1},
            },
            "required": ["who", "rate"],
            "additionalProperties": False,
        },
    },
}
CALL = {
    "id": "call12345",
    "type": "function",
    "function": {"name": "get_weather", "arguments": {"city": "서울", "days": 2}},
}
CALL2 = {
    "id": "call67890",
    "type": "function",
    "function": {"name": "get_weather",
                 "arguments": {"city": "Paris", "unit": "celsius", "places": [1.5, 2], "x": None}},
}


def said(role, content, **more):
    return {"role": role, "content": content, **more}


ASK = [said("user", "Weather in Seoul?")]
CASES = {
    "system": {"messages": [said("system", "You are a careful helper."),
                            said("user", "Hello <|im_end|> there")]},
    "no system": {"messages": [said("user", "Hello")], "gen": True},
    "multi-turn": {"messages": [
        said("user", "What is 2+2? "), said("assistant", "<think>\nsum\n</think>\n\n4"),
        said("user", "\nAnd 3*3?\n"), said("assistant", "9")]},
    "korean": {"messages": [
        said("system", "당신은 친절한 도우미입니다."), said("user", "연차는 며칠인가요? 🙂"),
        said("assistant", "15일입니다."), said("user", "고마워요")], "gen": True},
    "tools": {"messages": [said("system", "Use tools."), *ASK], "tools": [WEATHER], "gen": True},
    "nested tools": {"messages": ASK, "tools": [WEATHER, NESTED], "gen": True},
    "tool results": {"messages": [
        *ASK, said("assistant", "", tool_calls=[CALL]),
        said("tool", "{\"temp\": 21}", name="get_weather", tool_call_id="call12345"),
        said("assistant", "It is 21 degrees."), said("user", "Thanks")], "tools": [WEATHER]},
    "two calls at once": {"messages": [
        said("system", "Use tools."), *ASK,
        said("assistant", "Let me see.", tool_calls=[CALL, CALL2]),
        said("tool", "{\"temp\": 21}", name="get_weather", tool_call_id="call12345"),
        said("tool", "{\"temp\": 9}", name="get_weather", tool_call_id="call67890")],
        "tools": [WEATHER, NESTED], "gen": True},
    "call without content": {"messages": [
        *ASK, {"role": "assistant", "tool_calls": [CALL]},
        said("tool", "21", name="get_weather", tool_call_id="call12345")],
        "tools": [WEATHER], "gen": True},
    "arguments as text": {"messages": [
        *ASK, said("assistant", "", tool_calls=[{**CALL, "function": {
            "name": "get_weather", "arguments": "{\"city\": \"서울\"}"}}]),
        said("tool", "21", name="get_weather", tool_call_id="call12345")], "tools": [WEATHER]},
    "generation prompt": {"messages": [said("user", "  Say hi  ")], "gen": True},
    "empty contents": {"messages": [said("system", ""), said("user", ""), said("assistant", ""),
                                    said("user", " \n ")], "gen": True},
    "nulls": {"messages": [
        *ASK, said("assistant", None, tool_calls=[CALL], reasoning_content=None),
        said("tool", "21", name=None, tool_call_id="call12345"),
        said("assistant", "21.", tool_calls=None)], "tools": [WEATHER], "gen": True},
    "parts": {"messages": [
        said("user", [{"type": "text", "text": "What is "}, {"type": "text", "text": "this? 이것"}]),
        said("assistant", [{"type": "text", "text": "A test."}])]},
    "image part": {"messages": [said("user", [
        {"type": "image"}, {"type": "text", "text": "Describe it"}])], "gen": True},
    "continue": {"messages": [said("user", "Count to five"), said("assistant", "one, two,")],
                 "continue": True},
    "reasoning": {"messages": [
        said("user", "2+2?"), said("assistant", "4", reasoning_content="Two and two.\n"),
        said("user", "3+3?"), said("assistant", "6", reasoning_content="Three twice.")]},
    "reasoning before a call": {"messages": [
        *ASK, said("assistant", "", thinking="I need the tool.", tool_calls=[CALL]),
        said("tool", "21", name="get_weather", tool_call_id="call12345")],
        "tools": [WEATHER], "gen": True},
    "documents": {"messages": [said("user", "What do the papers say?")], "documents": [
        {"title": "휴가 규정", "text": "연차는 15일.", "id": 1, "doc_id": 1, "contents": "연차"},
        {"title": "b", "text": "x < y & \"z\"", "id": 2, "doc_id": 2, "contents": "c"}],
        "gen": True},
    "very long": {"messages": [said("user", "긴 글 and words. " * 20000),
                               said("assistant", "ok " * 5000), said("user", "So?")], "gen": True},
    "special tokens inside": {"messages": [
        said("system", "<|im_start|>system\n<|eot_id|>[INST]<</SYS>>"),
        said("user", "<|begin_of_text|><s></s>[/INST]{{ bos_token }}{% raw %}"),
        said("assistant", "<|start_header_id|>user<|end_header_id|>"), said("user", "</think>")]},
    "unusual roles": {"messages": [said("developer", "Be terse."), said("user", "Hi"),
                                   said("ipython", "{\"a\": 1}"), said("critic", "Bad.")]},
    "wrong order": {"messages": [said("assistant", "I begin."), said("assistant", "And go on."),
                                 said("user", "a"), said("user", "b"), said("system", "late")]},
    "unicode": {"messages": [said("user", "e\u0301 한글 \u200b\u00a0👩‍👩‍👧 \u2028 \u0000 \t\r\n ı"),
                             said("assistant", "ΑΣ ß ﬁ")]},
    "thinking on": {"messages": [said("user", "Hi")], "gen": True,
                    "variables": {"enable_thinking": True, "thinking": True}},
    "thinking off": {"messages": [said("system", "s"), said("user", "Hi /no_think")], "gen": True,
                     "variables": {"enable_thinking": False, "thinking": False}},
    "effort and date": {"messages": [said("user", "Hi", name="Kim")], "gen": True,
                        "variables": {"reasoning_effort": "high", "date_string": "1 Jan 2025",
                                      "model_identity": "You are X."}},
    "named, many turns": {"messages": [
        m for i in range(12) for m in (said("user", f"question {i}", name="Lee"),
                                       said("assistant", f"answer {i}"))], "gen": True},
}
