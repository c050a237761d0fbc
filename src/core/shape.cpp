#include "core/shape.h"

namespace nanochat {

std::string Shape::to_string() const {
  std::string s = "[";
  for (int i = 0; i < rank_; ++i) s += (i ? ", " : "") + std::to_string(dim(i));
  return s + "]";
}

}  // namespace nanochat
