#include "milter/offline/statistics.h"

#include <catch2/catch.hpp>

#include <cmath>

using offline::Calibration;
using offline::Confusion;
using offline::Rate;

TEST_CASE("a rate of no messages has no value") {
  CHECK_FALSE(Rate{}.value().has_value());
  CHECK(Rate{}.wilson().low == 0);
  CHECK(Rate{}.wilson().high == 1);
}

TEST_CASE("Wilson's interval has the textbook's values") {
  // Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29, score method without
  // correction.
  const auto check = [](std::size_t hits, std::size_t n, double low, double high) {
    const auto found = Rate{hits, n}.wilson();
    CHECK(found.low == Approx(low).margin(5e-5));
    CHECK(found.high == Approx(high).margin(5e-5));
  };
  check(81, 263, 0.2553, 0.3662);
  check(15, 148, 0.0624, 0.1605);
  check(0, 20, 0.0000, 0.1611);
  check(1, 29, 0.0061, 0.1718);
  check(20, 20, 0.8389, 1.0000);
}

TEST_CASE("precision, recall and F1 are computed from the matrix") {
  Confusion confusion({"a", "b", "c"});
  for (int i = 0; i < 8; ++i) confusion.add(0, 0);
  for (int i = 0; i < 2; ++i) confusion.add(0, 1);
  for (int i = 0; i < 3; ++i) confusion.add(1, 1);
  confusion.add(1, 0);
  const auto classes = confusion.classes();
  REQUIRE(classes.size() == 2);  // c never occurs
  CHECK(classes[0].precision == Approx(8.0 / 9));
  CHECK(classes[0].recall == Approx(0.8));
  CHECK(classes[0].f1 == Approx(16.0 / 19));
  CHECK(classes[1].f1 == Approx(6.0 / 9));
  CHECK(*confusion.macro_f1() == Approx((16.0 / 19 + 6.0 / 9) / 2));
  CHECK(confusion.accuracy().hits == 11);
  CHECK(confusion.accuracy().n == 14);
}

TEST_CASE("a class that occurs only as an answer lowers recall and is not part of the mean") {
  Confusion confusion({"unknown", "a"});
  confusion.add(1, 1);
  confusion.add(1, 0);
  CHECK(*confusion.macro_f1() == Approx(2.0 / 3));
  CHECK(confusion.classes().size() == 2);
}

TEST_CASE("missing messages lower recall, extra messages lower precision") {
  Confusion confusion({"a"});
  confusion.add(0, 0);
  confusion.add(0, Confusion::kNone);
  CHECK(confusion.classes()[0].recall == Approx(0.5));
  CHECK(confusion.classes()[0].precision == Approx(1));
  confusion.add(Confusion::kNone, 0);
  CHECK(confusion.classes()[0].precision == Approx(0.5));
  CHECK(confusion.accuracy().n == 3);
  CHECK(*confusion.macro_f1() == Approx(0.5));
}

TEST_CASE("without a truth there is no F1") {
  CHECK_FALSE(Confusion({"a"}).macro_f1().has_value());
  CHECK_FALSE(Calibration{}.ece().has_value());
}

TEST_CASE("a confidence of 0.9 that is right nine times out of ten is calibrated") {
  Calibration calibration;
  for (int i = 0; i < 10; ++i) calibration.add(0.9, i != 0);
  CHECK(*calibration.ece() == Approx(0).margin(1e-12));
}

TEST_CASE("the calibration error weighs bins by their messages") {
  Calibration calibration;
  for (int i = 0; i < 3; ++i) calibration.add(0.95, true);  // off by 0.05
  calibration.add(0.25, true);                              // off by 0.75
  CHECK(*calibration.ece() == Approx(0.75 * 0.05 + 0.25 * 0.75));
  CHECK(calibration.bins()[9].confidence == Approx(0.95));
  CHECK(calibration.bins()[2].right.n == 1);
}

TEST_CASE("both ends of the scale have a bin, and values outside have one too") {
  Calibration calibration;
  for (const double claimed : {0.0, 1.0, 1.5, -1.0, std::nan("")}) calibration.add(claimed, true);
  CHECK(calibration.bins()[0].right.n == 3);
  CHECK(calibration.bins()[9].right.n == 2);
  CHECK(calibration.n() == 5);
}
