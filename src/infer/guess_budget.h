// What guesses of an answer's next tokens are worth: how often they came true, what a row of a step
// costs, and how many to make of it. A guess costs a row of the next step and changes nothing: only
// what the model says itself is kept.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sllm {

// How likely the next guessed token of one guesser for one sequence is right.
class GuessRecord {
 public:
  // As if so many tokens had been right and wrong before the first one.
  explicit GuessRecord(double right = 1, double wrong = 1)
      : right_before_(right), wrong_before_(wrong) {}
  double likelihood() const {
    return (right_ + right_before_) / (right_ + wrong_ + right_before_ + wrong_before_);
  }
  // Of the last guess, so many tokens were what the model said.
  void learn(int64_t guessed, int64_t right);
  // Nothing was guessed in this step: tends to where it began, so that what was given up is tried
  // again.
  void rest();

 private:
  double right_before_, wrong_before_;
  double right_ = 0, wrong_ = 0;  // of tokens that were looked at, the old ones fading
};

// A record of guesses that cost something to make: those of a draft model. Given up, it rests, and
// is tried again after pauses that double, so that a try in vain costs less and less.
class DraftRecord {
 public:
  double likelihood() const { return record_.likelihood(); }
  void learn(int64_t guessed, int64_t right);
  bool resting() const { return resting_; }
  void give_up();  // it did not pay in this step
  // Of a resting one, once in each step: whether it guesses again, where that takes the time of
  // `cost` steps.
  bool tries_again(double cost);

 private:
  GuessRecord record_ = fresh();
  static GuessRecord fresh() { return GuessRecord(3, 1); }  // most drafts are mostly right
  static constexpr int64_t kFirstPause = 16;
  int64_t pause_ = kFirstPause, waited_ = 0;
  bool resting_ = false;
};

// A step takes a + b * rows seconds, fitted to the steps that were measured, the old ones fading.
// One that was held up by something else (another process, a page that was not there) counts
// little.
class StepCost {
 public:
  void measured(int64_t rows, double seconds);
  bool known() const { return weight_ > 0; }
  struct Seconds {
    double step, row;  // of a step of so many rows, and of one row more
  };
  Seconds at(double rows) const;  // a step of 1 second until one was measured

 private:
  // Weighted sums over the measured steps.
  double weight_ = 0, rows_ = 0, seconds_ = 0, rows_rows_ = 0, rows_seconds_ = 0;
};

// How many rows of guesses a step bears. A row that is right with probability p is worth its time
// while it raises the tokens per second of the whole step. So guessing ends by itself where rows
// are dear or guesses are bad.
class GuessBudget {
 public:
  // `always`: as if guesses took no time.
  explicit GuessBudget(bool always = false) : price_(always ? 0 : 1) {}
  void measured(int64_t rows, double seconds) { step_.measured(rows, seconds); }  // no prompts read
  bool known() const { return price_ == 0 || step_.known(); }

  // The number of tokens to guess for each of these sequences, at most `most` each and `all`
  // together, where a guess is free until it is checked.
  std::vector<int64_t> share(const std::vector<double>& likelihoods, int64_t most,
                             int64_t all) const;

  struct Drafting {
    double likelihood;
    int64_t unread;  // tokens that the draft model reads before its first guess, the last included
    int64_t left;    // tokens that may still come, among whom that reading is spread
    int64_t most;
    bool trial = false;  // guesses at least one token, whatever is thought of it
  };
  // The same for guesses of a draft model, which makes one token of all sequences in a step of its
  // own that costs what `draft` says; at most `all` together. `rows` are in the step already, which
  // is expected to bring `tokens`.
  std::vector<int64_t> share_drafts(std::span<const Drafting> drafting, const StepCost& draft,
                                    int64_t rows, double tokens, int64_t all) const;
  // What one token drafted behind `unread` others takes, in steps.
  double cost_of_trial(const StepCost& draft, int64_t unread) const;

 private:
  StepCost step_;
  double price_;  // of time
};

// Of n guesses in a row, each right with probability p if the ones before are, so many are right.
double expected_right(double p, int64_t n);

}  // namespace sllm
