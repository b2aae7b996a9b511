#include "cli/commands.h"

#include <vector>

namespace sllm::cli {

// One prototype and one row per command. Groups appear in --help in the order of their first row.

Action declare_tokenizer(CLI::App& app, const Globals& globals);  // DEV
Action declare_init(CLI::App& app, const Globals& globals);       // DEV

namespace {
const std::vector<Command> kCommands = {
    {"new", "Purpose", "Write a project file from a goal", kJson | kDryRun | kYes, declare_new},
    {"doctor", "Purpose", "Say what this machine offers and what stands in the way", kJson,
     declare_doctor},
    {"run", "Purpose", "Build, evaluate and deploy a project", kJson | kDryRun, declare_run},
    {"pull", "Build", "Fetch a model and check it", kJson | kDryRun, declare_pull},
    {"list", "Build", "Models known by name, and models on this machine", kJson, declare_list},
    {"rm", "Build", "Remove models from this machine", kJson | kDryRun | kYes, declare_rm},
    {"import", "Build", "Convert between Hugging Face folders and GGUF files", kJson | kDryRun,
     declare_import},
    {"data", "Build", "Clean, de-duplicate and split examples", kJson | kDryRun, declare_data},
    {"augment", "Build", "Make training pairs from a hand-written grammar", kJson | kDryRun,
     declare_augment},
    {"distill", "Build", "Make training rows from a teacher's answers", kJson | kDryRun,
     declare_distill},
    {"tokenizer", "Build", "Train a vocabulary on texts", kJson | kDryRun, declare_tokenizer},
    {"init", "Build", "Make a model with random weights, to train from nothing", kJson | kDryRun,
     declare_init},
    {"tune", "Build", "Fine-tune a model: LoRA, DoRA or all weights", kJson | kDryRun,
     declare_tune},
    {"runs", "Build", "List tuning runs, show, plot, compare or resume them", kJson, declare_runs},
    {"merge", "Build", "Merge a LoRA adapter into its base model", kJson | kDryRun, declare_merge},
    {"imatrix", "Build", "Measure which weights matter on a text, for quantize", kJson,
     declare_imatrix},
    {"quantize", "Build", "Store a model in fewer bits", kJson | kDryRun, declare_quantize},
    {"eval", "Evaluate", "Measure a model: perplexity, tasks, answers", kJson, declare_eval},
    {"compare", "Evaluate", "Measure several models side by side", kJson, declare_compare},
    {"check", "Evaluate", "Say whether two artefacts are the same model", kJson, declare_check},
    {"bench", "Evaluate", "Measure how fast a model reads and writes", kJson, declare_bench},
    {"chat", "Deploy", "Talk to a model in the terminal", kNoFlags, declare_chat},
    {"serve", "Deploy", "Serve the OpenAI API and a chat page", kJson, declare_serve},
    {"index", "Deploy", "Make documents searchable", kJson | kDryRun, declare_index},
    {"search", "Deploy", "Find passages of indexed documents", kJson, declare_search},
    {"ask", "Deploy", "Answer a question from indexed documents, with sources", kJson, declare_ask},
    {"complete", "Deploy", "Continue a text", kJson, declare_complete},
    {"embed", "Deploy", "Turn texts into vectors", kNoFlags, declare_embed},
    {"show", "Look inside", "Say what a model file holds and what it needs", kJson, declare_show},
    {"tokenize", "Look inside", "Turn text into token ids and back", kNoFlags, declare_tokenize},
    {"template", "Look inside", "Render a chat template exactly", kJson, declare_template},
    {"logits", "Look inside", "Print a model's logits for the next token", kJson, declare_logits},
};
}  // namespace

std::span<const Command> commands() { return kCommands; }

}  // namespace sllm::cli
