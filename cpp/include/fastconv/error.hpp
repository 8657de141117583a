// The one exception type of the library.
#pragma once

#include <stdexcept>
#include <string>

namespace fastconv {

// Thrown for arguments that break an operation's rules. The message reads
// "<operation>: <rule> (<name>=<value>, ...)".
class Error : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

}  // namespace fastconv
