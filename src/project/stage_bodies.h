// What each stage does with the folders of the stages before it; stages.cc says when.
#pragma once

#include "io/model_source.h"
#include "project/evaluate.h"
#include "project/stages.h"

namespace sllm::project {

// pull: the base is found or fetched; model.json says where it lies, its licence and hash.
Status pull_base(const Project& project, const std::string& name, const StageContext& context);
// data: rows/ as `sllm data` writes it, grounded where the project answers from documents.
Status make_data(const Project& project, const StageContext& context);
// tune: run/ (resumed when it is there) and tune.json.
Status make_adapter(const Project& project, const StageContext& context);
// merge and quantize: model.gguf. `lineage` is kept in the file's description.
Status merge_model(const std::string& lineage, const StageContext& context);
Status quantize_model(const std::string& from, const std::string& type, const std::string& lineage,
                      const StageContext& context);
// index: index.db
Status index_documents(const fs::path& documents, const StageContext& context);
// questions: index.db with the known questions of [index] questions
Status learn_questions(const Project& project, const StageContext& context);
// evaluate: result.json. Reads the held-out rows itself.
Status evaluate_into(const Project& project, EvaluateInput input, const StageContext& context);
// deploy-check: opens the file as a server would and asks it one held-out question; the answer must
// be the one that was evaluated. deploy.json holds the command that serves it.
Status deploy_check(const Project& project, const fs::path& model, const fs::path& evaluated,
                    const fs::path& out);
// runs/latest: links to and copies of what these stages made, replaced as a whole.
Status publish(const Project& project, const std::vector<PlannedStage>& stages);

// The model that a pull, merge or quantize stage left. Error: kBadInput when it is gone.
Result<fs::path> model_in(const fs::path& folder);
// A file's SHA-256; of a folder, over the names and hashes of its files. Error: kUsage when it is
// not there.
Result<std::string> hash_path(const fs::path& path);
// What the file says of its licence, else what the catalogue knows under this name, else "".
std::string licence_of(const ModelSource& source, const std::string& name);
Status write_json(const fs::path& path, const Json& json);
Result<Json> read_json(const fs::path& path);

}  // namespace sllm::project
