"""Actions of operators, with their forms, previews and restrictions, and approval by a second operator."""
