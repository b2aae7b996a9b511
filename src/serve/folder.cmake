# The chat page: npm packages and esbuild in the build tree, then the files embedded as C++ arrays.
set(web_source ${PROJECT_SOURCE_DIR}/web)
set(web_build ${PROJECT_BINARY_DIR}/web)
set(web_cc ${web_build}/web_assets.cc)
find_program(NPM_EXECUTABLE npm)
if(SLLM_WEB AND NOT NPM_EXECUTABLE)
  message(STATUS "npm not found: building without the chat page")
endif()
set(web_files)
if(SLLM_WEB AND NPM_EXECUTABLE)
  file(GLOB web_sources CONFIGURE_DEPENDS ${web_source}/src/*)
  add_custom_command(OUTPUT ${web_build}/node_modules/.package-lock.json
    COMMAND ${CMAKE_COMMAND} -E copy ${web_source}/package.json ${web_source}/package-lock.json ${web_build}
    COMMAND ${NPM_EXECUTABLE} ci --ignore-scripts --no-audit --no-fund --loglevel=error
    DEPENDS ${web_source}/package.json ${web_source}/package-lock.json
    WORKING_DIRECTORY ${web_build}
    COMMENT "Fetching the chat page's packages (cmake -DSLLM_WEB=OFF builds without the page)" VERBATIM)
  add_custom_command(OUTPUT ${web_build}/dist/app.js ${web_build}/dist/app.css
    COMMAND ${CMAKE_COMMAND} -E env NODE_PATH=${web_build}/node_modules
            ${web_build}/node_modules/.bin/esbuild ${web_source}/src/app.tsx --bundle --minify --target=es2020
            --charset=utf8 --jsx=automatic --jsx-import-source=preact --legal-comments=inline
            --log-level=warning --outdir=${web_build}/dist
    DEPENDS ${web_sources} ${web_build}/node_modules/.package-lock.json
    COMMENT "Bundling the chat page" VERBATIM)
  set(web_files ${web_source}/index.html ${web_source}/icon.svg ${web_build}/dist/app.js ${web_build}/dist/app.css)
endif()
add_custom_command(OUTPUT ${web_cc}
  COMMAND ${CMAKE_COMMAND} -DOUTPUT=${web_cc} "-DFILES=${web_files}" -P ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
  DEPENDS ${web_files} ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
  COMMENT "Embedding the chat page" VERBATIM)
target_sources(sllm_serve PRIVATE ${web_cc})
