# One place for the flags every target shares: faultline_options.
add_library(faultline_options INTERFACE)
target_include_directories(faultline_options INTERFACE ${PROJECT_SOURCE_DIR}/src)
target_compile_options(faultline_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wcast-qual
  -fno-omit-frame-pointer)
if(FAULTLINE_WERROR)
  target_compile_options(faultline_options INTERFACE -Werror)
endif()
if(FAULTLINE_SANITIZE)
  target_compile_options(faultline_options INTERFACE -fsanitize=${FAULTLINE_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(faultline_options INTERFACE -fsanitize=${FAULTLINE_SANITIZE})
endif()
