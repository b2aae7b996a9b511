# Everything comes from Debian packages (12 and 13); scripts/install-packages.sh names them.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(simdjson REQUIRED)
find_package(ICU REQUIRED COMPONENTS uc i18n)
find_package(CURL REQUIRED)
find_package(LibXml2 REQUIRED)
find_package(LibArchive REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
find_package(tomlplusplus REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)


# Boost is used header-only (Asio, Beast). Debian 12's default 1.74 cannot compile coroutines in C++20 with g++ 12, so 1.81 is asked for.
find_package(Boost 1.81 REQUIRED)
add_library(sllm_boost INTERFACE)
target_link_libraries(sllm_boost INTERFACE Boost::headers)
target_compile_definitions(sllm_boost INTERFACE BOOST_ASIO_NO_DEPRECATED BOOST_ERROR_CODE_HEADER_ONLY)
