#include "cli/commands.h"

#include <vector>

namespace sllm::cli {

// One prototype and one row per command. Groups appear in --help in the order of their first row.

namespace {
const std::vector<Command> kCommands = {
    {"new", "Purpose", "Write a project file from a goal", declare_new},
    {"doctor", "Purpose", "Say what this machine offers and what stands in the way",
     declare_doctor},
    {"run", "Purpose", "Build, evaluate and deploy a project", declare_run},
    {"pull", "Build", "Fetch a model and check it", declare_pull},
    {"list", "Build", "Models known by name, and models on this machine", declare_list},
    {"import", "Build", "Convert between Hugging Face folders and GGUF files", declare_import},
    {"data", "Build", "Clean, de-duplicate and split examples", declare_data},
    {"augment", "Build", "Make training pairs from a hand-written grammar", declare_augment},
    {"tune", "Build", "Fine-tune a model with LoRA", declare_tune},
    {"runs", "Build", "List tuning runs, or show one", declare_runs},
    {"merge", "Build", "Merge a LoRA adapter into its base model", declare_merge},
    {"quantize", "Build", "Store a model in fewer bits", declare_quantize},
    {"eval", "Evaluate", "Measure a model: perplexity, tasks, answers", declare_eval},
    {"compare", "Evaluate", "Measure several models side by side", declare_compare},
    {"bench", "Evaluate", "Measure how fast a model reads and writes", declare_bench},
    {"chat", "Deploy", "Talk to a model in the terminal", declare_chat},
    {"serve", "Deploy", "Serve the OpenAI API and a chat page", declare_serve},
    {"index", "Deploy", "Make documents searchable", declare_index},
    {"search", "Deploy", "Find passages of indexed documents", declare_search},
    {"ask", "Deploy", "Answer a question from indexed documents, with sources", declare_ask},
    {"complete", "Deploy", "Continue a text", declare_complete},
    {"show", "Look inside", "Say what a model file holds and what it needs", declare_show},
    {"tokenize", "Look inside", "Turn text into token ids and back", declare_tokenize},
    {"template", "Look inside", "Render a chat template exactly", declare_template},
    {"logits", "Look inside", "Print a model's logits for the next token", declare_logits},
};
}  // namespace

std::span<const Command> commands() { return kCommands; }

}  // namespace sllm::cli
