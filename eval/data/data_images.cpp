#include <algorithm>
#include <cassert>
#include <charconv>
#include <mutex>

#include "core/error.hpp"
#include "core/files.hpp"
#include "eval/data/dataset_checks.hpp"
#include "eval/data/dataset_image.hpp"
#include "eval/data/dataset_kinds.hpp"

namespace bitplan {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kCacheBytes = std::size_t{1} << 30;  ///< of decoded pixels that a data set keeps
constexpr std::int64_t kMostSide = 8192;
constexpr std::int64_t kMostPixels = std::int64_t{1} << 28;

struct LabelledFile {
  fs::path file;
  std::int64_t label = 0;
};

std::vector<LabelledFile> from_csv(const fs::path& root, const fs::path& csv) {
  std::vector<LabelledFile> files;
  const auto text = read_text(csv);
  std::size_t line_number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    at = end + 1;
    ++line_number;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || (line_number == 1 && line == "file,label")) continue;
    const auto comma = line.rfind(',');
    std::int64_t label = 0;
    const auto* last = line.data() + line.size();
    const auto parsed = comma == std::string::npos ? std::from_chars_result{nullptr, std::errc::invalid_argument}
                                                   : std::from_chars(line.data() + comma + 1, last, label);
    if (parsed.ec != std::errc{} || parsed.ptr != last || comma == 0)
      throw InputError(csv.string() + ':' + std::to_string(line_number) +
                       ": must be file,label with a whole number, is '" + line + "'");
    files.push_back({root / line.substr(0, comma), label});
  }
  return files;
}

std::vector<fs::path> sorted_entries(const fs::path& folder, bool folders) {
  std::vector<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_directory() == folders && entry.path().filename().string().front() != '.')
      entries.push_back(entry.path());
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.filename().string() < b.filename().string(); });
  return entries;
}

std::vector<LabelledFile> from_folders(const fs::path& root) {
  const auto classes = sorted_entries(root, true);
  if (classes.empty()) throw InputError(root.string() + ": has neither labels.csv nor a folder per class");
  std::vector<LabelledFile> files;
  for (std::size_t label = 0; label < classes.size(); ++label) {
    for (const auto& file : sorted_entries(classes[label], false)) {
      auto extension = file.extension().string();
      std::transform(extension.begin(), extension.end(), extension.begin(),
                     [](unsigned char c) { return std::tolower(c); });
      if (extension != ".jpg" && extension != ".jpeg" && extension != ".png")
        throw InputError(file.string() + ": is no image; allowed: .jpg, .jpeg, .png");
      files.push_back({file, static_cast<std::int64_t>(label)});
    }
  }
  return files;
}

std::vector<LabelledFile> list_files(const fs::path& root) {
  try {
    if (!fs::is_directory(root)) throw InputError(root.string() + ": is not a folder");
    const auto csv = root / "labels.csv";
    return fs::exists(csv) ? from_csv(root, csv) : from_folders(root);
  } catch (const fs::filesystem_error& e) {
    throw InputError(root.string() + ": cannot be read: " + e.code().message());
  }
}

class ImageFolder final : public DataSet {
 public:
  ImageFolder(const DataSpec& spec, const Network& network) : resize_(spec.resize), crop_(spec.crop), pixels_(spec) {
    require_image_input(spec.kind, network, crop_.value_or(-1), crop_.value_or(-1));
    const auto& shape = network.tensor(network.inputs[0]).shape;
    height_ = shape[2];
    width_ = shape[3];
    files_ = list_files(spec.root);
    const auto name = spec.root.string();
    const auto window = sample_window(spec, static_cast<std::int64_t>(files_.size()), name);
    for (auto i = window.first; i < window.first + window.count; ++i) {
      const auto& [file, label] = files_[static_cast<std::size_t>(i)];
      check_label(network, name, i, label);
      std::error_code ignored;
      if (!fs::is_regular_file(file, ignored)) throw InputError(file.string() + ": is not there");
    }
    files_ = {files_.begin() + window.first, files_.begin() + window.first + window.count};
    cache_.resize(files_.size());
  }

  std::int64_t samples() const override { return static_cast<std::int64_t>(files_.size()); }
  bool has_labels() const override { return true; }

  Batch read(std::int64_t first, std::int64_t count) const override {
    assert(first >= 0 && count >= 0 && first + count <= samples());
    Batch batch;
    Tensor images(DType::f32, {count, 3, height_, width_});
    const auto out = images.writable<float>();
    const auto plane = static_cast<std::size_t>(height_ * width_);
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      const auto index = static_cast<std::size_t>(first) + i;
      const auto image = prepared(index);
      for (std::size_t c = 0; c < 3; ++c)
        for (std::size_t p = 0; p < plane; ++p) out[(3 * i + c) * plane + p] = pixels_(c, image->rgb[3 * p + c]);
      batch.labels.push_back(files_[index].label);
    }
    batch.inputs.push_back(std::move(images));
    return batch;
  }

 private:
  /// The decoded, resized and cropped image. Kept while there is room: repeated readers go through all samples in
  /// order, so what came first is as good as what came last.
  std::shared_ptr<const Image> prepared(std::size_t index) const {
    {
      const std::scoped_lock lock(mutex_);
      if (cache_[index]) return cache_[index];
    }
    const auto& file = files_[index].file;
    std::shared_ptr<const Image> image;
    try {
      image = std::make_shared<Image>(fit(decode_image(MappedFile::open(file)->bytes())));
    } catch (const InputError& e) {
      const std::string text = e.what();  // a missing file names itself already
      throw InputError(text.starts_with(file.string()) ? text : file.string() + ": " + text);
    }
    const std::scoped_lock lock(mutex_);
    if (!cache_[index] && cached_bytes_ + image->rgb.size() <= kCacheBytes) {
      cache_[index] = image;
      cached_bytes_ += image->rgb.size();
    }
    return image;
  }

  Image fit(Image image) const {
    const auto size = [](const Image& i) { return std::to_string(i.height) + 'x' + std::to_string(i.width); };
    const bool as_it_is = crop_ && image.height == *crop_ && image.width == *crop_;
    if (resize_ && !as_it_is) {
      const auto shorter = std::min(image.height, image.width), longer = std::max(image.height, image.width);
      if (*resize_ * longer / shorter > kMostPixels / *resize_)
        throw InputError("resize " + std::to_string(*resize_) + " of " + size(image) +
                         " pixels would make more than 2^28");
      image = resize_shorter_side(image, *resize_);
    }
    if (crop_) {
      if (image.height < *crop_ || image.width < *crop_)
        throw InputError("crop " + std::to_string(*crop_) + " is larger than the image of " + size(image) + " pixels");
      return as_it_is ? image : centre_crop(image, *crop_);
    }
    if (image.height != height_ || image.width != width_)
      throw InputError("has " + size(image) + " pixels, the network takes " + std::to_string(height_) + 'x' +
                       std::to_string(width_) + "; set resize and crop");
    return image;
  }

  std::optional<std::int64_t> resize_, crop_;
  PixelTable pixels_;
  std::int64_t height_ = 0, width_ = 0;
  std::vector<LabelledFile> files_;
  mutable std::mutex mutex_;
  mutable std::vector<std::shared_ptr<const Image>> cache_;
  mutable std::size_t cached_bytes_ = 0;
};

void read_keys(const Yaml& node, DataSpec& spec) {
  spec.root = node.at("root").path();
  if (const auto resize = node.find("resize")) spec.resize = resize->integer_in(1, kMostSide);
  if (const auto crop = node.find("crop")) spec.crop = crop->integer_in(1, kMostSide);
  if (spec.resize && spec.crop && *spec.crop > *spec.resize)
    node.at("crop").fail("must be at most resize (" + std::to_string(*spec.resize) + "), is " +
                         std::to_string(*spec.crop));
  read_normalization(node, spec);
}

std::unique_ptr<DataSet> open(const DataSpec& spec, const Network& network) {
  return std::make_unique<ImageFolder>(spec, network);
}

}  // namespace

DataKind images_kind() {
  return {"images",
          "a folder of JPEG or PNG files, labelled by labels.csv or by one folder per class",
          {"root", "resize", "crop", "mean", "std"},
          read_keys,
          open};
}

}  // namespace bitplan
