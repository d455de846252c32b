def test_demo_answers(demo):
    assert set(demo["uids"]) == {"Unissued", "Unexpired", "Expired", "Removed", "Unknown"}
