#pragma once

#include <google/protobuf/unknown_field_set.h>

#include <string>
#include <vector>

// Fields that ONNX 1.13 to 1.16 added: libonnx's generated classes are older and keep them unparsed.
namespace bitplan {

inline constexpr int kNodeOverload = 8, kNodeMetadata = 9;            ///< NodeProto.overload, .metadata_props
inline constexpr int kFunctionDefaults = 11, kFunctionOverload = 13;  ///< FunctionProto.attribute_proto, .overload

/// All length-delimited fields of this number, in order.
inline std::vector<std::string> bytes_fields(const google::protobuf::UnknownFieldSet& unknown, int number) {
  std::vector<std::string> found;
  for (int i = 0; i < unknown.field_count(); ++i) {
    const auto& field = unknown.field(i);
    if (field.number() == number && field.type() == google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED)
      found.push_back(field.length_delimited());
  }
  return found;
}

/// The last of them, "" when there is none.
inline std::string text_field(const google::protobuf::UnknownFieldSet& unknown, int number) {
  const auto found = bytes_fields(unknown, number);
  return found.empty() ? std::string() : found.back();
}

}  // namespace bitplan
