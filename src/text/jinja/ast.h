// What the parser makes of a template.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace sllm::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct CallArguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr more_positional, more_named;  // *args, **kwargs
};

struct Expr {
  enum class Kind {
    kConstant,   // value
    kName,       // name
    kList,       // items
    kTuple,      // items
    kDict,       // items: key, value, key, value, ...
    kAttribute,  // items[0].name
    kItem,       // items[0][items[1]]
    kSlice,      // items[0][items[1]:items[2]:items[3]], missing ones null
    kCall,       // items[0](arguments)
    kFilter,     // items[0] | name(arguments); items[0] null inside a filter block
    kTest,       // items[0] is name(arguments)
    kUnary,      // name: "-", "+", "not"
    kBinary,     // name: "+", "-", ...
    kCompare,    // items chained by names
    kConcat,     // items
    kAnd,
    kOr,
    kConditional  // items[0] if items[1] else items[2] (may be null)
  };
  Kind kind;
  int line = 0;
  size_t depth = 1;  // height of the tree, bounded so that walking it is safe
  std::string name;
  Value value;
  std::vector<ExprPtr> items;
  std::vector<std::string> names;
  CallArguments arguments;
};

struct Parameter {
  std::string name;
  ExprPtr otherwise;  // default; may be null
};

struct Stmt;
using Body = std::vector<std::unique_ptr<Stmt>>;

struct Stmt {
  enum class Kind {
    kData,       // text
    kOutput,     // expr
    kIf,         // branches: condition (null: else) and body
    kFor,        // target in expr [if condition], body, otherwise
    kSet,        // target = expr
    kSetBlock,   // target = body [| expr]
    kMacro,      // name(parameters) body
    kCallBlock,  // expr is the call, body with parameters is the caller
    kFilter,     // body | expr
    kWith,       // assignments, body
    kGeneration,
    kBreak,
    kContinue
  };
  Kind kind;
  int line = 0;
  std::string text;  // data; macro name
  ExprPtr target, expr, condition;
  Body body, otherwise;
  bool recursive = false;
  bool uses_varargs = false, uses_kwargs = false, uses_caller = false;  // in a macro's body
  std::vector<std::pair<ExprPtr, Body>> branches;
  std::vector<std::pair<ExprPtr, ExprPtr>> assignments;
  std::vector<Parameter> parameters;
};

}  // namespace sllm::jinja
