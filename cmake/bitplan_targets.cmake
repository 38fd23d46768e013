# Warnings, include root and sanitizers of every target.
function(bitplan_settings target)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  # gcc 12's flow warnings misfire on std::string, vector and optional at -O3 (bugs 105651, 105562, 107852); the
  # sanitizer builds look for the same faults.
  # No fused multiply-add behind our back: fast paths equal their references bit for bit.
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wno-psabi -Wno-restrict
                         -Wno-stringop-overread -Wno-stringop-overflow -Wno-maybe-uninitialized -Wno-array-bounds -ffp-contract=off)
  if(BITPLAN_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(BITPLAN_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${BITPLAN_SANITIZE} -fno-omit-frame-pointer)
    if(BITPLAN_SANITIZE MATCHES "undefined")
      target_compile_options(${target} PRIVATE -fno-sanitize-recover=undefined)
    endif()
    target_link_options(${target} PRIVATE -fsanitize=${BITPLAN_SANITIZE})
  endif()
endfunction()

# bitplan_module(NAME DEPS folders… LIBRARIES private libraries… PUBLIC libraries seen in headers…)
# One static library a folder: bitplan_NAME from all its .cpp files.
function(bitplan_module name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "DEPS;LIBRARIES;PUBLIC")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${name}/*.cpp)
  add_library(bitplan_${name} STATIC ${sources})
  set_target_properties(bitplan_${name} PROPERTIES LINKER_LANGUAGE CXX)
  bitplan_settings(bitplan_${name})
  list(TRANSFORM arg_DEPS PREPEND bitplan_)
  target_link_libraries(bitplan_${name} PUBLIC ${arg_DEPS} ${arg_PUBLIC} PRIVATE ${arg_LIBRARIES})
endfunction()

# bitplan_test(FOLDER DEPS folders… LIBRARIES …): one program from tests/FOLDER/*.cpp, one ctest entry a test case.
function(bitplan_test folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "DEPS;LIBRARIES;LABELS")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${folder}/*.cpp)
  if(NOT sources)
    return()
  endif()
  string(REPLACE "/" "_" target test_${folder})
  add_executable(${target} ${sources})
  bitplan_settings(${target})
  list(TRANSFORM arg_DEPS PREPEND bitplan_)
  target_link_libraries(${target} PRIVATE catch_main ${arg_DEPS} ${arg_LIBRARIES})
  target_precompile_headers(${target} REUSE_FROM catch_main)
  target_compile_definitions(${target} PRIVATE BITPLAN_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  catch_discover_tests(${target} TEST_PREFIX "${folder}: " WORKING_DIRECTORY ${CMAKE_BINARY_DIR}
                       PROPERTIES LABELS "${folder};${arg_LABELS}" TIMEOUT 600)
endfunction()

# bitplan_mpi_test(NAME TARGET RANKS 1 2 4 ARGS arguments… LABELS …): runs a program under mpirun, one ctest entry a number
# of ranks. "@RANKS@" in an argument becomes the number.
function(bitplan_mpi_test name target)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "RANKS;ARGS;LABELS")
  foreach(ranks IN LISTS arg_RANKS)
    string(REPLACE "@RANKS@" "${ranks}" arguments "${arg_ARGS}")
    set(test "${name} on ${ranks} ranks")
    add_test(NAME ${test} COMMAND ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} ${ranks} $<TARGET_FILE:${target}> ${arguments})
    # As variables, not as flags: other launchers than Open MPI's ignore them. Open MPI would bind each rank, with all
    # its threads, to one core.
    set_tests_properties(${test} PROPERTIES PROCESSORS ${ranks} TIMEOUT 600 LABELS "mpi;${arg_LABELS}" ENVIRONMENT
      "OMP_NUM_THREADS=1;OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1;OMPI_MCA_rmaps_base_oversubscribe=1;OMPI_MCA_hwloc_base_binding_policy=none")
  endforeach()
endfunction()
