// The page's words in English and Korean.
import { computed, signal } from "@preact/signals";

const words = {
  en: {
    newChat: "New chat", history: "History", send: "Send", stop: "Stop", retry: "Retry", edit: "Edit",
    cancel: "Cancel", copy: "Copy", copied: "Copied", remove: "Delete", clearAll: "Delete all",
    placeholder: "Write a message. Enter sends, Shift+Enter breaks the line.",
    empty: "Ask something. Everything stays on this machine.",
    model: "Model", base: "no adapter", adapter: "adapter", speed: "tokens/s", first: "s to the first word",
    ground: "Answer from documents", sources: "Sources", close: "Close", stopped: "stopped",
    keyTitle: "This server asks for a key", keyHint: "It is kept in this tab only.", keySave: "Use this key",
    offline: "The server cannot be reached.", image: "image not loaded", theme: "Light or dark",
    language: "한국어", you: "You", unknown: "No document supports an answer.", full: "The browser's storage is full: this chat is not saved.",
  },
  ko: {
    newChat: "새 대화", history: "지난 대화", send: "보내기", stop: "멈추기", retry: "다시 답하기", edit: "고치기",
    cancel: "취소", copy: "복사", copied: "복사됨", remove: "지우기", clearAll: "모두 지우기",
    placeholder: "메시지를 쓰세요. Enter로 보내고 Shift+Enter로 줄을 바꿉니다.",
    empty: "무엇이든 물어보세요. 대화는 이 컴퓨터를 벗어나지 않습니다.",
    model: "모델", base: "어댑터 없음", adapter: "어댑터", speed: "토큰/초", first: "초 만에 첫 낱말",
    ground: "문서에서 찾아 답하기", sources: "출처", close: "닫기", stopped: "멈춤",
    keyTitle: "이 서버는 키가 필요합니다", keyHint: "키는 이 탭에만 보관됩니다.", keySave: "이 키 쓰기",
    offline: "서버에 연결할 수 없습니다.", image: "그림을 불러오지 않았습니다", theme: "밝게 또는 어둡게",
    language: "English", you: "나", unknown: "답을 뒷받침하는 문서가 없습니다.", full: "브라우저 저장 공간이 가득 차 이 대화를 저장하지 못했습니다.",
  },
};

export type Language = keyof typeof words;
const stored = localStorage.getItem("sllm.language");
export const language = signal<Language>(
  stored === "ko" || stored === "en" ? stored : navigator.language.startsWith("ko") ? "ko" : "en");
language.subscribe((value) => (document.documentElement.lang = value));
export const t = computed(() => words[language.value]);
export function toggleLanguage() {
  language.value = language.value === "ko" ? "en" : "ko";
  localStorage.setItem("sllm.language", language.value);
}
