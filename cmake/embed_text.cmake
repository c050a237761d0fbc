# cmake -DNAME=english_words -DIN=words.txt -DOUT=words.cpp -P embed_text.cmake: a text file as the
# function nanochat::texts::NAME() that tasks/texts.h declares.
file(READ ${IN} text)
if(text MATCHES "\\)nanochat\"")
  message(FATAL_ERROR "${IN}: holds the mark that would end the literal")
endif()
file(WRITE ${OUT} "#include \"tasks/texts.h\"

namespace nanochat::texts {

std::string_view ${NAME}() noexcept {
  using namespace std::string_view_literals;
  return R\"nanochat(${text})nanochat\"sv;
}

}  // namespace nanochat::texts
")
